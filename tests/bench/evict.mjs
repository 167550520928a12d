// What share of requests the store answers when not everything fits, beside
// LRU and beside the best possible. The bench fails where LRU is better.
export default {
  title: 'evict: hit ratio of the store, of LRU and of the best possible',
  targets: ['bench-evict'],
  async run(bench) {
    const figures = await bench.measure('bench-evict', bench.smoke ? ['160000', '1'] : ['2000000', '16']);
    bench.print(`    ${'trace'.padEnd(10)}    store     LRU  optimum`);
    for (const name of Object.keys(figures).filter((k) => k.endsWith('_store')).map((k) => k.slice(0, -6))) {
      const row = ['store', 'lru', 'best'].map((k) => figures[`${name}_${k}`].toFixed(4).padStart(9));
      bench.print(`    ${name.padEnd(10)}${row.join('')}`);
    }
    if (!figures.never_below_lru) throw new Error(`LRU is better by ${-figures.worst_over_lru} somewhere`);
    return figures;
  },
};
