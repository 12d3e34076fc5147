import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Command } from 'commander';
import { addProgramCommand } from './program-command.js';

/** Place, words of the program, and options of the command, as its action gets them. */
function parsed(...line: string[]): unknown[] {
  const seen: unknown[] = [];
  const root = new Command('bough').exitOverride().configureOutput({ writeErr: () => undefined });
  for (const parent of [root, root.command('sandbox').exitOverride()])
    addProgramCommand(parent, 'exec')
      .argument('<id>')
      .argument('<args...>')
      .option('-t, --tty')
      .option('--timeout <duration>')
      .action((id: string, args: string[], options: object) => void seen.push(id, args, { ...options }));
  root.parse(line, { from: 'user' });
  return seen;
}

describe('a command that runs a program', () => {
  const cases: [line: string[], place: string, words: string[], options?: object][] = [
    [['box', 'ls', '-la'], 'box', ['ls', '-la']],
    [['-t', 'box', 'ls', '-t'], 'box', ['ls', '-t'], { tty: true }],
    [['box', '--timeout', '5', 'ls', '--timeout', '6'], 'box', ['ls', '--timeout', '6'], { timeout: '5' }],
    [['box', 'sh', '-c', 'x', '--help'], 'box', ['sh', '-c', 'x', '--help']],
    [['box', '--', '-odd', '-h'], 'box', ['-odd', '-h']],
    [['box', '-t', '--', 'ls', '--', '-x'], 'box', ['ls', '--', '-x'], { tty: true }],
    [['--', 'box', 'ls', '-la'], 'box', ['ls', '-la']],
  ];
  for (const [line, place, words, options = {}] of cases) {
    it(`leaves to it what stands behind its name: ${line.join(' ')}`, () => {
      assert.deepEqual(parsed('exec', ...line), [place, words, options]);
      assert.deepEqual(parsed('sandbox', 'exec', ...line), [place, words, options]);
    });
  }

  it('refuses an option before its name that is not its own, and a line without one', () => {
    for (const line of [['box', '-l', 'ls'], ['-l', 'box', 'ls'], ['box'], ['box', '-t'], []])
      assert.throws(() => parsed('exec', ...line), { name: /CommanderError|Error/ }, line.join(' '));
  });
});
