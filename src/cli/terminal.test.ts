import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { execa } from 'execa';

const TERMINAL = JSON.stringify(import.meta.resolve('./terminal.js'));
const SETTINGS = `(await import('node:child_process')).execFileSync('stty', ['-g'], { stdio: ['inherit', 'pipe', 'inherit'] }).toString()`;
const PROGRAM = `
  const { processTerminal } = await import(${TERMINAL});
  const before = ${SETTINGS};
  const restore = processTerminal().makeRaw();
  process.stdout.write('[one\\ntwo]');
  restore();
  process.stdout.write(before === ${SETTINGS} ? ' as before' : ' changed');
`;

describe('the terminal of this process', { timeout: 60_000 }, () => {
  it('shows what a guest prints as it is while it is raw, and is as before after that', async () => {
    const command = `${process.execPath} --input-type=module --eval "$PROGRAM"`;
    const { stdout } = await execa('script', ['-qec', command, '/dev/null'], { env: { PROGRAM } });
    assert(stdout.endsWith('[one\ntwo] as before'), JSON.stringify(stdout));
  });
});
