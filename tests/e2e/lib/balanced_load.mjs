#!/usr/bin/env node
// What a load balancer with clients does: asks every target's /readyz, sends
// requests to those that are ready, over connections kept open. Runs until
// standard input ends or for ten minutes; then prints {"sent", "lost", "why"}.
//
//   node balanced_load.mjs BODY URL...     (in the network of the test's hosts)
import https from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';

const [body, ...urls] = process.argv.slice(2);
const agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false });
const ready = new Set();
const why = {};
let sent = 0;
let lost = 0;
let ending = false;
process.stdin.on('end', () => { ending = true; }).resume();
setTimeout(() => { ending = true; }, 600000).unref();

function exchange(url, method, text) {
  return new Promise((resolve, reject) => {
    const req = https.request(url, { method, agent, timeout: 20000, headers: text ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } : {} }, (res) => {
      let got = '';
      res.setEncoding('utf8').on('data', (t) => { got += t; }).on('error', reject).on('end', () => resolve({ status: res.statusCode, text: got }));
    });
    req.on('error', reject).on('timeout', () => req.destroy(new Error('timeout'))).end(text);
  });
}

async function watch(url) {
  while (!ending) {
    const reply = await exchange(`${url}/readyz`, 'GET').catch(() => null);
    if (reply?.status === 200) ready.add(url); else ready.delete(url);
    await pause(200);
  }
}

async function work() {
  for (let turn = 0; !ending; turn += 1) {
    const targets = [...ready];
    if (!targets.length) { await pause(20); continue; }
    const url = targets[turn % targets.length];
    sent += 1;
    const reply = await exchange(`${url}/sql`, 'POST', body).catch((e) => ({ status: e.code ?? e.message }));
    if (reply.status !== 200) {
      lost += 1;
      const what = `${reply.status} ${reply.text ?? ''}`;
      why[what] = (why[what] ?? 0) + 1;
    }
    await pause(5);
  }
}

await Promise.all([...urls.map(watch), ...[0, 1, 2, 3].map(work)]);
console.log(JSON.stringify({ sent, lost, why }));
process.exit(0);
