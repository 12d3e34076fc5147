/**
 * Circles of files that import each other, types included: none of them can be read, moved or tested before
 * the others.
 */
import { edgesOf } from './edges.js';
import type { SourceFile } from './sources.js';

/**
 * Every circle as the sorted paths of its files (Tarjan's strongly connected components of more than one).
 */
export function circlesOf(files: readonly SourceFile[]): string[][] {
  const importsOf = new Map(files.map((file) => [file.path, importedFiles(file)]));
  const circles: string[][] = [];
  const indexOf = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];

  const lower = (path: string, to: number): void => {
    lowest.set(path, Math.min(lowest.get(path) ?? to, to));
  };
  const visit = (path: string): void => {
    const index = indexOf.size;
    indexOf.set(path, index);
    lower(path, index);
    stack.push(path);
    for (const next of importsOf.get(path) ?? []) {
      if (!indexOf.has(next)) {
        visit(next);
        lower(path, lowest.get(next) ?? index);
      } else if (stack.includes(next)) lower(path, indexOf.get(next) ?? index);
    }
    if (lowest.get(path) !== index) return;
    const circle = stack.splice(stack.indexOf(path));
    if (circle.length > 1) circles.push(circle.sort());
  };
  for (const path of importsOf.keys()) if (!indexOf.has(path)) visit(path);
  return circles.sort();
}

function importedFiles(file: SourceFile): string[] {
  return edgesOf(file).flatMap(({ kind, target }) =>
    kind === 'import' && target !== undefined ? [target] : [],
  );
}
