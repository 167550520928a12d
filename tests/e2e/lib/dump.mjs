// The agent's own driver and encoder (ps_rows_dump), no agent in between.
import { spawn } from 'node:child_process';
import { program } from './process.mjs';

// One statement in, one line out: JSON, or "! code: message".
export class Dump {
  constructor(server, env) {
    this.waiting = [];
    this.child = spawn(program('ps_rows_dump'), [server], {
      stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env },
    });
    let pending = '';
    this.child.stdout.setEncoding('utf8');
    this.child.stdout.on('data', (chunk) => {
      pending += chunk;
      for (let end; (end = pending.indexOf('\n')) >= 0;) {
        this.waiting.shift()?.(pending.slice(0, end));
        pending = pending.slice(end + 1);
      }
    });
    this.child.stdin.on('error', () => {});
    this.child.on('exit', () => this.waiting.splice(0).forEach((resolve) => resolve('! exit')));
  }

  ask(sql) {
    if (this.child.exitCode !== null) return Promise.resolve('! exit');
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.child.stdin.write(`${sql}\0`);
    });
  }

  async end() {
    const gone = new Promise((resolve) => { this.child.on('exit', resolve); });
    this.child.stdin.end();
    await gone;
  }
}
