import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import ts from 'typescript';
import { readSources, type SourceFile } from './sources.js';

/**
 * What a file exports without a sentence on it: declarations, and the public members of classes and
 * interfaces.
 */
function undocumentedIn({ path, text }: SourceFile): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const exported = file.statements.filter(
    (node) => ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(isExport) === true,
  );
  const members = exported.flatMap((node) =>
    ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) ? node.members.filter(isPublic) : [],
  );
  return [...exported, ...members]
    .filter((node) => ts.getJSDocCommentsAndTags(node).length === 0)
    .map((node) => `${path}: ${node.getText().split('\n')[0] ?? ''}`);
}

const isExport = ({ kind }: ts.ModifierLike): boolean => kind === ts.SyntaxKind.ExportKeyword;

/**
 * Neither private, nor a constructor, nor what overrides a member of `Error`, nor the second form of an
 * overload.
 */
function isPublic(node: ts.ClassElement | ts.TypeElement): boolean {
  if (node.name === undefined || ts.isPrivateIdentifier(node.name)) return false;
  const { parent } = node;
  const isLater =
    ts.isClassDeclaration(parent) &&
    parent.members.find((each) => each.name?.getText() === node.name?.getText()) !== node;
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined;
  return !isLater && modifiers?.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword) !== true;
}

describe('the SDK', () => {
  it('documents every symbol that it exports', async () => {
    const files = (await readSources('src')).filter(({ path }) => path.startsWith('src/sdk/'));
    assert(files.length > 4);
    assert.deepEqual(files.flatMap(undocumentedIn), []);
  });

  it('casts nothing', async () => {
    const files = (await readSources('src')).filter(({ path }) => path.startsWith('src/sdk/'));
    const casts = files.flatMap(({ path, text }) => {
      const found: string[] = [];
      const visit = (node: ts.Node): void => {
        if (ts.isAsExpression(node) || ts.isTypeAssertionExpression(node)) found.push(path);
        ts.forEachChild(node, visit);
      };
      visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
      return found;
    });
    assert.deepEqual(casts, []);
  });
});

describe('undocumentedIn()', () => {
  it('sees declarations and members', () => {
    const text = `
      export const a = 1;
      /** said */ export const b = 2;
      const c = 3;
      /** said */ export class D {
        #e = 1;
        /** said */ f(): void {}
        g(): void {}
        constructor() {}
      }
      /** said */ export interface H { i: string }`;
    assert.deepEqual(undocumentedIn({ path: 'x.ts', text }), [
      'x.ts: export const a = 1;',
      'x.ts: g(): void {}',
      'x.ts: i: string',
    ]);
  });
});
