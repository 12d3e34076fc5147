/**
 * A process that does one operation on a store and is killed at a failpoint, or ends: `node
 * interrupted-store.js '{"stateDir", "hotDir", "operation", "failpoints"}'`. If nothing killed it, it makes a
 * folder in the state dir to say so, and prints `done`.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { armFailpoints } from '../../src/base/index.js';
import { DONE_FOLDER, OPERATIONS, openIn } from './store-world.js';

const { stateDir, hotDir, operation, failpoints } = JSON.parse(process.argv[2] ?? '') as Record<
  'stateDir' | 'hotDir' | 'operation' | 'failpoints',
  string
>;
const dirs = { stateDir, hotDir };
const { prepare, run } = OPERATIONS[operation] ?? {};
if (run === undefined) throw new TypeError(`No operation ${operation}`);
if (prepare === undefined) armFailpoints(failpoints);
const store = await openIn(dirs);
await prepare?.(dirs, store);
if (prepare !== undefined) armFailpoints(failpoints);
await run(dirs, store);
await mkdir(join(stateDir, DONE_FOLDER));
process.stdout.write('done');
await store.close();
