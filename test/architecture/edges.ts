/**
 * What a source file takes from others, however it says so:
 *
 *   import, export … from, import type, import('…')         'import': the module is loaded, or at least its types are
 *   new URL('….js', import.meta.url), 'dist/…/x.js'         'run': found by its path, to be run or loaded from there
 *
 * Run from dist/, which mirrors the project: a URL is relative to the compiled file, and may climb out of
 * dist/.
 *
 * Not handled: programs inside strings, such as those that tests give to `node -e`; they get the modules they
 * load as URLs.
 */
import { dirname, join } from 'node:path';
import ts from 'typescript';
import type { SourceFile } from './sources.js';

/** One file or package that a file takes something from. */
export interface Edge {
  readonly kind: 'import' | 'run';
  /** As it is written; undefined for one that is computed, which no reader can follow. */
  readonly specifier: string | undefined;
  /** Path from the project's root, if it is one of its files: `src/qmp/client.ts`. */
  readonly target: string | undefined;
}

const parsed = new WeakMap<SourceFile, Edge[]>();

/** Every edge of `file`, in the order in which they are written. */
export function edgesOf(file: SourceFile): readonly Edge[] {
  const edges = parsed.get(file) ?? parseEdges(file);
  parsed.set(file, edges);
  return edges;
}

function parseEdges(file: SourceFile): Edge[] {
  const edges: Edge[] = [];
  const visit = (node: ts.Node): void => {
    const edge = edgeAt(file.path, node);
    if (edge !== undefined) edges.push(edge);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true));
  return edges;
}

function edgeAt(path: string, node: ts.Node): Edge | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    return node.moduleSpecifier && importOf(path, node.moduleSpecifier);
  }
  if (ts.isImportTypeNode(node)) {
    return importOf(path, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined);
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    // Of a URL the inner expression tells, when it is visited.
    return argument !== undefined && isHref(argument) ? undefined : importOf(path, argument);
  }
  const run = pathOfUrl(path, node) ?? pathBelowDist(node);
  return run && { kind: 'run', ...run };
}

function importOf(path: string, specifier: ts.Node | undefined): Edge {
  if (specifier === undefined || !ts.isStringLiteralLike(specifier)) {
    return { kind: 'import', specifier: undefined, target: undefined };
  }
  const { text } = specifier;
  const target = text.startsWith('.') ? sourceOf(join(dirname(path), text)) : undefined;
  return { kind: 'import', specifier: text, target };
}

/** `new URL('…').href` */
function isHref(node: ts.Expression): boolean {
  if (!ts.isPropertyAccessExpression(node) || node.name.text !== 'href') return false;
  const url = node.expression;
  const relative = ts.isNewExpression(url) ? url.arguments?.[0] : undefined;
  return relative !== undefined && ts.isStringLiteralLike(relative);
}

/** `new URL('./x.js', import.meta.url)`; undefined if it does not name code. */
function pathOfUrl(path: string, node: ts.Node): { specifier: string; target: string } | undefined {
  if (!ts.isNewExpression(node) || node.expression.getText() !== 'URL') return undefined;
  const [relative, base] = node.arguments ?? [];
  if (relative === undefined || base?.getText() !== 'import.meta.url') return undefined;
  if (!ts.isStringLiteralLike(relative) || !/\.m?js$/.test(relative.text)) return undefined;
  const fromDir = dirname(path.endsWith('.ts') ? join('dist', path) : path);
  return { specifier: relative.text, target: sourceOf(join(fromDir, relative.text)) };
}

/** `'dist/src/cli/main.js'`, as scripts name what they run. */
function pathBelowDist(node: ts.Node): { specifier: string; target: string } | undefined {
  if (!ts.isStringLiteralLike(node) || !/^dist\/\S+\.js$/.test(node.text)) return undefined;
  return { specifier: node.text, target: sourceOf(node.text) };
}

/** `dist/src/qmp/client.js` and `src/qmp/client.js` → `src/qmp/client.ts`. */
function sourceOf(compiledPath: string): string {
  return compiledPath.replace(/^dist\//, '').replace(/\.js$/, '.ts');
}
