// What a write's invalidation costs, whatever the number of entries.
export default {
  title: "invalidate: one write's invalidation with 10^3 and with 10^6 entries",
  targets: ['bench-invalidate'],
  run: (bench) => bench.measure('bench-invalidate', [bench.smoke ? '1' : '7']),
};
