/**
 * A process that makes a snapshot on a disk whose fsync fails, and tries again: `node unsynced-store.js
 * '{"stateDir", "hotDir", "disk"}'`. Prints how the first and the second attempt ended, as JSON.
 */
import { openIn } from './store-world.js';
import { snapshot } from '../support/store-fixture.js';

const { stateDir, hotDir, disk } = JSON.parse(process.argv[2] ?? '') as Record<
  'stateDir' | 'hotDir' | 'disk',
  string
>;
const store = await openIn({ stateDir, hotDir });
const endOf = (): Promise<string> =>
  store.durable('a').then(
    () => 'durable',
    (error: unknown) => String(error),
  );
await snapshot(store, {
  tag: 'a',
  on: { layers: [], disks: [{ id: 'frozen', path: disk, format: 'raw' }] },
});
const first = await endOf();
store.persistAgain();
process.stdout.write(JSON.stringify([first, await endOf()]));
await store.close();
