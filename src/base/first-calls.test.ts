import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { promisify } from 'node:util';

/** Whether V8 has made machine code of a function that was called once, in a process that has done `first` before. */
async function isCompiled(first: string): Promise<boolean> {
  const module = new URL('first-calls.js', import.meta.url).href;
  const program = `
    const { compileAtFirstCall } = await import(${JSON.stringify(module)});
    ${first}
    const called = (x) => x + 1;
    called(1);
    console.log(%ActiveTierIsSparkplug(called));`;
  const args = ['--allow-natives-syntax', '--input-type=module', '-e', program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return stdout === 'true\n';
}

it('compileAtFirstCall() has what is called once be machine code', async () => {
  assert(await isCompiled('compileAtFirstCall();'));
  assert(!(await isCompiled('')));
});
