/**
 * What a program in a guest printed, passed on: each stream to its own, and a word where some of it is
 * missing.
 */

import type { ExecResult } from '../contract/index.js';
import type { Io } from './io.js';

export function printOutput(io: Io, output: Pick<ExecResult, 'stdout' | 'stderr' | 'truncated'>): void {
  io.stdout(output.stdout);
  io.stderr(output.stderr);
  if (output.truncated) io.stderr('note: it printed more than is kept; the rest is left out\n');
}
