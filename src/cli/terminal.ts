/** The terminal of this process, for programs that have one in a guest. */

import { spawnSync } from 'node:child_process';
import type { TerminalSize } from '../contract/index.js';

export interface Terminal {
  readonly size: () => TerminalSize;
  /** Every key goes on as it is, Ctrl-C too, and what is printed is shown as it is; call what it returns to have it as before. The end of the process has it so too. */
  readonly makeRaw: () => () => void;
  /** Call what it returns to hear no more. */
  readonly onResize: (listener: () => void) => () => void;
}

export function processTerminal(): Terminal | undefined {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) return undefined;
  return {
    size: () => ({ cols: stdout.columns || 80, rows: stdout.rows || 24 }),
    makeRaw: () => {
      const restore = (): void => {
        process.off('exit', restore);
        stdin.setRawMode(false);
      };
      process.on('exit', restore);
      stdin.setRawMode(true);
      // Node leaves on that a new line also goes back to the left, which is for the guest's terminal to say.
      spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
      return restore;
    },
    onResize: (listener) => {
      stdout.on('resize', listener);
      return () => void stdout.off('resize', listener);
    },
  };
}
