// Child processes of a test: started, awaited, logged, and ended by pid.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const live = new Set();

process.on('exit', () => {
  for (const p of live) {
    try { p.child.kill('SIGKILL'); } catch { /* already gone */ }
  }
});

// A directory that goes away with the test run.
export function tempDir(name) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), `portside-${name}-`));
  fs.chmodSync(dir, 0o755);
  process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export class Process {
  constructor(name, command, args, options = {}) {
    this.name = name;
    this.output = '';
    this.child = spawn(command, args, {
      stdio: [options.stdin ?? 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd,
    });
    live.add(this);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        this.output += text;
        if (this.output.length > 4e6) this.output = this.output.slice(-2e6);
      });
    }
    this.exited = once(this.child, 'exit').then(([code, signal]) => {
      live.delete(this);
      this.exit = { code, signal };
      return this.exit;
    });
  }

  get pid() { return this.child.pid; }

  // Waits for a line of output; fails with the log when it does not come.
  async line(pattern, timeoutMs = 20000) {
    return waitUntil(() => {
      const m = this.output.match(pattern);
      if (m) return m;
      if (this.exit) throw new Error(`${this.name} ended:\n${this.output}`);
      return null;
    }, { timeoutMs, what: () => `${pattern} from ${this.name}:\n${this.output}` });
  }

  signal(name) { this.child.kill(name); }

  async stop(signal = 'SIGTERM', timeoutMs = 30000) {
    if (this.exit) return this.exit;
    this.child.kill(signal);
    const late = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    const exit = await this.exited;
    clearTimeout(late);
    return exit;
  }
}

// Runs to the end; resolves with { code, stdout, stderr }.
export async function run(command, args, options = {}) {
  const child = spawn(command, args, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (t) => { stdout += t; });
  child.stderr.setEncoding('utf8').on('data', (t) => { stderr += t; });
  if (options.input !== undefined) {
    // A command may end without having read it.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input);
  }
  const late = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60000);
  const [code] = await once(child, 'close');
  clearTimeout(late);
  if (options.check !== false && code !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  }
  return { code, stdout, stderr };
}

// Polls a condition; the only way these tests wait for anything.
export async function waitUntil(condition, { timeoutMs = 15000, everyMs = 15, what } = {}) {
  const until = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > until) {
      throw new Error(`timed out waiting for ${what ? (typeof what === 'function' ? what() : what) : condition}`);
    }
    await new Promise((resolve) => { setTimeout(resolve, everyMs); });
  }
}

export function buildDir() {
  return process.env.PS_BUILD_DIR
    ?? path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../../../build/dev');
}

export function program(name) {
  const file = path.join(buildDir(), 'bin', name);
  if (!fs.existsSync(file)) throw new Error(`${file} is not built`);
  return file;
}
