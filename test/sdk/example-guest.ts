/** What the guests of the examples in the SDK do: enough of a few programs and of an interpreter. */
import type { Host } from '../../src/sandbox/host/host.js';

/** For `fakeHost`. */
export function exampleGuest(): Pick<Host, 'exec' | 'evaluate'> {
  return {
    exec: (_id, { args: [program, ...rest], stdin }) => {
      const stdout =
        { echo: `${rest.join(' ')}\n`, cat: typeof stdin === 'string' ? stdin : '' }[program ?? ''] ?? '';
      return Promise.resolve({ stdout, stderr: '', exitCode: program === 'false' ? 1 : 0, truncated: false });
    },
    evaluate: (_id, { code }) => {
      const result = { x: '42', '6 * 7': '42' }[code] ?? null;
      return Promise.resolve({ result, error: null, exitCode: 0, stdout: '', stderr: '', truncated: false });
    },
  };
}
