// Self-made CAs and what they sign, for servers of tests.
import fs from 'node:fs';
import path from 'node:path';
import { run, tempDir } from './process.mjs';

const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class Authority {
  static async create(name = 'test CA') {
    const self = new Authority();
    self.dir = tempDir('ca');
    self.n = 0;
    await run('openssl', ['req', '-x509', ...key, '-keyout', self.#file('ca.key'), '-out', self.#file('ca.crt'),
      '-days', '2', '-subj', `/CN=${name}`]);
    self.pem = fs.readFileSync(self.#file('ca.crt'), 'utf8');
    return self;
  }

  #file(name) { return path.join(this.dir, name); }

  // { cert, key } as PEM. names: of subjectAltName; days -1: has expired.
  async issue({ names = ['DNS:localhost', 'IP:127.0.0.1'], days = 2 } = {}) {
    const at = (end) => this.#file(`${this.n}.${end}`);
    this.n += 1;
    await run('openssl', ['req', '-new', ...key, '-keyout', at('key'), '-out', at('csr'), '-subj', '/CN=database',
      '-addext', `subjectAltName=${names.join(',')}`]);
    await run('openssl', ['x509', '-req', '-in', at('csr'), '-CA', this.#file('ca.crt'), '-CAkey', this.#file('ca.key'),
      '-CAcreateserial', '-days', String(days), '-copy_extensions', 'copy', '-out', at('crt')]);
    return { cert: fs.readFileSync(at('crt'), 'utf8'), key: fs.readFileSync(at('key'), 'utf8') };
  }

  // Signed by itself.
  static async selfSigned() {
    const dir = tempDir('self');
    const at = (name) => path.join(dir, name);
    await run('openssl', ['req', '-x509', ...key, '-keyout', at('key'), '-out', at('crt'), '-days', '2',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']);
    return { cert: fs.readFileSync(at('crt'), 'utf8'), key: fs.readFileSync(at('key'), 'utf8') };
  }
}
