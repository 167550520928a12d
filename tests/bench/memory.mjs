// What an entry costs beyond its key and reply, by three ways to count.
export default {
  title: 'memory: bytes of an entry beyond its key and reply',
  targets: ['bench-memory'],
  run: (bench) => bench.measure('bench-memory', [bench.smoke ? '32' : '256']),
};
