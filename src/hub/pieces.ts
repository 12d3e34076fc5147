/** How the data of a sparse file is cut into chunks. Pure. */
import type { Run } from '../store/index.js';

/** Raw bytes of a chunk: what is compressed, checked, sent again after a break, and shared. */
export const CHUNK_BYTES = 16 << 20;

/** Stretches of a file that travel as one chunk, in order. */
export type Piece = readonly Run[];

/** Each piece but the last holds `chunkBytes`. */
export function piecesOf(runs: Iterable<Run>, chunkBytes = CHUNK_BYTES): Piece[] {
  const pieces: Run[][] = [];
  let piece: Run[] = [];
  let room = chunkBytes;
  for (const run of runs) {
    let [offset, left] = run;
    while (left > 0) {
      const taken = Math.min(left, room);
      piece.push([offset, taken]);
      offset += taken;
      left -= taken;
      room -= taken;
      if (room > 0) continue;
      pieces.push(piece);
      piece = [];
      room = chunkBytes;
    }
  }
  if (piece.length > 0) pieces.push(piece);
  return pieces;
}

/** All bytes of some runs. */
export const bytesOf = (runs: Iterable<Run>): number => {
  let sum = 0;
  for (const [, length] of runs) sum += length;
  return sum;
};

/** Those that touch are made one. */
export function joined(runs: Iterable<Run>): Run[] {
  const result: [number, number][] = [];
  for (const [offset, length] of runs) {
    const last = result.at(-1);
    if (last !== undefined && last[0] + last[1] === offset) last[1] += length;
    else result.push([offset, length]);
  }
  return result;
}
