/**
 * A process that does one operation of host-parts.ts and is killed at a failpoint: `node interrupted-part.js
 * '{"stateDir", "hotDir", "operation", "failpoints"}'`. If nothing killed it, it prints `done`.
 */
import { armFailpoints } from '../../src/base/index.js';
import { contextOver, PARTS } from './host-parts.js';
import { openIn } from './store-world.js';

const { stateDir, hotDir, operation, failpoints } = JSON.parse(process.argv[2] ?? '') as Record<
  'stateDir' | 'hotDir' | 'operation' | 'failpoints',
  string
>;
const dirs = { stateDir, hotDir };
const part = PARTS[operation];
if (part === undefined) throw new TypeError(`No operation ${operation}`);
const store = await openIn(dirs);
const context = contextOver(dirs, store);
await part.prepare?.(dirs, context);
armFailpoints(failpoints);
await part.run(dirs, context);
process.stdout.write('done');
await store.close();
