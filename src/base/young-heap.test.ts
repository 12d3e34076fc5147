import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { promisify } from 'node:util';

/** The MiB of V8's space for new objects, in a process that does `first` and then makes many of them that last for a while. */
async function youngMiB(first: string): Promise<number> {
  const module = new URL('young-heap.js', import.meta.url).href;
  const program = `
    const { keepYoungHeapSmall } = await import(${JSON.stringify(module)});
    const { getHeapSpaceStatistics } = await import('node:v8');
    ${first}
    const kept = [];
    for (let at = 0; at < 2_000_000; at++) kept[at % 100_000] = { at };
    const [space] = getHeapSpaceStatistics().filter(({ space_name: name }) => name === 'new_space');
    console.log(space.space_size / 2 ** 20);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program]);
  return Number(stdout);
}

it('keepYoungHeapSmall() keeps the space for new objects from growing', async () => {
  const [small, usual] = [await youngMiB('keepYoungHeapSmall();'), await youngMiB('')];
  assert(small <= 4 && usual > 2 * small, `${small} MiB, usually ${usual} MiB`);
});
