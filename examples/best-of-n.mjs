/**
 * Best of N: one sandbox does the expensive part once, then N children try to go on from exactly there, each
 * in its own way, and the best of them is kept.
 *
 *   node examples/best-of-n.mjs [--tag <snapshot>] [--count <n>]
 *
 * Here the expensive part is a table of distances between towns, and a way to go on is a random round trip
 * that is improved for a while. With an agent it would be the conversation so far, and a continuation each.
 */
import { parseArgs } from 'node:util';
import { Bough } from 'bough';

const { values } = parseArgs({
  options: { tag: { type: 'string', default: 'base' }, count: { type: 'string', default: '3' } },
});
const bough = new Bough({
  url: process.env.BOUGH_URL ?? 'http://127.0.0.1:8889',
  token: process.env.BOUGH_TOKEN,
});
const started = new Set();

const PREPARE = `
import random
random.seed(1)
towns = [(random.random(), random.random()) for _ in range(60)]
distance = [[((a - c) ** 2 + (b - d) ** 2) ** 0.5 for c, d in towns] for a, b in towns]

def length(trip):
    return sum(distance[a][b] for a, b in zip(trip, trip[1:] + trip[:1]))

def improve(trip, rounds):
    best = length(trip)
    for _ in range(rounds):
        i, j = sorted(random.sample(range(len(trip)), 2))
        tried = trip[:i] + trip[i:j][::-1] + trip[j:]
        if length(tried) < best:
            trip, best = tried, length(tried)
    return trip
`;

/** A child has its source's random generator too: without a seed of its own each would make the same trip. */
const attempt = (seed) => `
random.seed(${seed})
trip = list(range(len(towns)))
random.shuffle(trip)
trip = improve(trip, 2000)
`;

async function evaluate(id, code) {
  const { result, error } = await bough.sandboxes.eval(id, { code, timeout_secs: 120 });
  if (error !== null) throw new Error(error);
  return result;
}

try {
  const [source] = await bough.sandboxes.spawn({ snapshot_tag: values.tag });
  started.add(source.id);
  await evaluate(source.id, PREPARE);

  const { snapshot, children, pause_ms } = await bough.sandboxes.fork(source.id, {
    count: Number(values.count),
  });
  console.log(`the source stood still for ${pause_ms.toFixed(2)} ms`);
  const ids = children.flatMap((child) => ('sandbox' in child ? [child.sandbox.id] : []));
  for (const id of ids) started.add(id);

  const scores = await Promise.all(
    ids.map(async (id, seed) => {
      await evaluate(id, attempt(seed));
      return { id, length: Number(await evaluate(id, 'length(trip)')) };
    }),
  );
  scores.sort((a, b) => a.length - b.length);
  scores.forEach(({ length }, rank) => console.log(`${rank + 1}. ${length.toFixed(3)}`));

  const [best] = scores;
  console.log(`best: ${await evaluate(best.id, 'trip[:5]')} …`);
  // The best one could be branched again now; here all of them end.
  for (const id of started) await bough.sandboxes.delete(id);
  started.clear();
  await bough.snapshots.delete(snapshot.tag);
} finally {
  for (const id of started) await bough.sandboxes.delete(id).catch(() => undefined);
}
