/** Folding a stack of layers into one: which bytes of which layer are visible from the top. Pure. */
import type { Run } from '../types.js';

/**
 * For each layer (bottom first) the parts of its runs that no layer above covers; all of them together are
 * disjoint.
 */
export function visibleRuns(stack: readonly (readonly Run[])[]): Run[][] {
  const visible: Run[][] = stack.map(() => []);
  let covered: Run[] = [];
  for (let index = stack.length - 1; index >= 0; index -= 1) {
    const runs = stack[index] ?? [];
    visible[index] = subtract(runs, covered);
    covered = union([...covered, ...runs]);
  }
  return visible;
}

/** The same bytes as ascending runs that neither touch nor overlap. */
export function union(runs: readonly Run[]): Run[] {
  const merged: [number, number][] = [];
  for (const [offset, length] of [...runs].sort(([a], [b]) => a - b)) {
    const last = merged.at(-1);
    if (last !== undefined && offset <= last[0] + last[1])
      last[1] = Math.max(last[1], offset + length - last[0]);
    else merged.push([offset, length]);
  }
  return merged;
}

/** What of `runs` is not in `covered`; both ascending and disjoint. */
function subtract(runs: readonly Run[], covered: readonly Run[]): Run[] {
  const left: Run[] = [];
  let first = 0;
  for (const [offset, length] of runs) {
    const end = offset + length;
    let position = offset;
    while (first < covered.length && endOf(covered[first]) <= offset) first += 1;
    for (let index = first; position < end; index += 1) {
      const cover = covered[index];
      const coverStart = Math.min(cover?.[0] ?? end, end);
      if (coverStart > position) left.push([position, coverStart - position]);
      if (cover === undefined || cover[0] >= end) break;
      position = Math.max(position, endOf(cover));
    }
  }
  return left;
}

const endOf = (run: Run | undefined): number => (run === undefined ? Infinity : run[0] + run[1]);
