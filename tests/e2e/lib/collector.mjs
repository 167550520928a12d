// A collector of OTLP over HTTP: keeps the spans that are posted to it.
import http from 'node:http';
import { once } from 'node:events';

export class Collector {
  static async start() {
    const self = new Collector();
    self.bodies = [];
    self.server = http.createServer((req, res) => {
      const chunks = [];
      req.on('data', (c) => chunks.push(c));
      req.on('end', () => {
        self.bodies.push({ path: req.url, type: req.headers['content-type'], text: Buffer.concat(chunks).toString('utf8') });
        res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    self.server.listen(0, '127.0.0.1');
    await once(self.server, 'listening');
    self.url = `http://127.0.0.1:${self.server.address().port}`;
    return self;
  }

  // Every span so far, attributes as plain members.
  spans() {
    return this.bodies.flatMap(({ text }) => JSON.parse(text).resourceSpans)
      .flatMap((r) => r.scopeSpans).flatMap((s) => s.spans)
      .map((s) => ({ ...s, attributes: Object.fromEntries(s.attributes.map((a) => [a.key, a.value.stringValue ?? Number(a.value.intValue)])) }));
  }

  async stop() {
    this.server.closeAllConnections?.();
    this.server.close();
  }
}
