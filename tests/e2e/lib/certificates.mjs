// Self-made CAs and what they sign, for servers of tests.
import fs from 'node:fs';
import path from 'node:path';
import { run, tempDir } from './process.mjs';

// For `openssl ca`, which can say from when a certificate counts.
const config = (dir) => `[ca]
default_ca = self
[self]
database = ${dir}/index
new_certs_dir = ${dir}
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
copy_extensions = copy
[any]
commonName = supplied
`;

const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export class Authority {
  static async create(name = 'test CA') {
    const self = new Authority();
    self.dir = tempDir('ca');
    self.n = 0;
    await run('openssl', ['req', '-x509', ...key, '-keyout', self.#file('ca.key'), '-out', self.#file('ca.crt'),
      '-days', '2', '-subj', `/CN=${name}`]);
    fs.writeFileSync(self.#file('index'), '');
    fs.writeFileSync(self.#file('conf'), config(self.dir));
    self.pem = fs.readFileSync(self.#file('ca.crt'), 'utf8');
    return self;
  }

  #file(name) { return path.join(this.dir, name); }

  // { cert, key } as PEM. names: of subjectAltName. It counts for so many days, the first of which is in `from` days.
  async issue({ names = ['DNS:localhost', 'IP:127.0.0.1'], from = -1, days = 3 } = {}) {
    const day = (n) => `${new Date(Date.now() + n * 86400000).toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
    const at = (end) => this.#file(`${this.n}.${end}`);
    this.n += 1;
    await run('openssl', ['req', '-new', ...key, '-keyout', at('key'), '-out', at('csr'), '-subj', '/CN=database',
      '-addext', `subjectAltName=${names.join(',')}`]);
    await run('openssl', ['ca', '-batch', '-notext', '-config', this.#file('conf'), '-in', at('csr'),
      '-cert', this.#file('ca.crt'), '-keyfile', this.#file('ca.key'), '-startdate', day(from), '-enddate', day(from + days),
      '-out', at('crt')]);
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
