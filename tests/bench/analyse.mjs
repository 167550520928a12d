// What the analysis of a statement costs, beside PostgreSQL's own parser.
export default {
  title: 'analyse: template and analysis of a statement beside libpg_query',
  targets: ['bench-analyse'],
  async run(bench) {
    const { bench: _, ...figures } = await bench.measure('bench-analyse', []);
    return figures;
  },
};
