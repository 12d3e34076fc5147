import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import ts from 'typescript';
import { errorCatalogue, isErrorCode } from '../../src/contract/index.js';
import { PROJECT_DIR, readSources, type SourceFile } from './sources.js';

/** The codes with which a file makes errors of the catalogue; one that is computed is `undefined`. */
function codesThrownIn({ path, text }: SourceFile): (string | undefined)[] {
  const codes: (string | undefined)[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && node.expression.getText() === 'BoughError') {
      codes.push(...literalsOf(node.arguments?.[0]));
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return codes;
}

/** `'a'`, or both of `condition ? 'a' : 'b'`. */
function literalsOf(argument: ts.Expression | undefined): (string | undefined)[] {
  if (argument !== undefined && ts.isConditionalExpression(argument))
    return [...literalsOf(argument.whenTrue), ...literalsOf(argument.whenFalse)];
  return [argument !== undefined && ts.isStringLiteralLike(argument) ? argument.text : undefined];
}

describe('every code of the error catalogue', () => {
  it('is thrown somewhere, and no other is', async () => {
    const sources = (await readSources('src')).filter(
      ({ path }) => !path.startsWith('src/contract/') && !path.endsWith('.test.ts'),
    );
    const thrown = new Set(sources.flatMap(codesThrownIn));
    assert.deepEqual(
      Object.keys(errorCatalogue).filter((code) => !thrown.has(code)),
      [],
      'never thrown',
    );
    assert.deepEqual(
      [...thrown].filter((code) => !isErrorCode(code)),
      [],
      'unknown, or computed so that nobody can count it',
    );
  });

  it('is documented with its status and what it says', async () => {
    const text = await readFile(join(PROJECT_DIR, 'docs/reference/api.md'), 'utf8');
    for (const [code, { status, retryable }] of Object.entries(errorCatalogue)) {
      const rows = text.split('\n').filter((line) => line.startsWith(`| \`${code}\` |`));
      assert.equal(rows.length, 1, `${code} has ${rows.length} rows`);
      const [, , foundStatus, foundRetry, meaning = ''] = (rows[0] ?? '')
        .split('|')
        .map((cell) => cell.trim());
      assert.equal(foundStatus?.split(';')[0], String(status), code);
      assert.equal(foundRetry, retryable ? 'yes' : '', code);
      assert(meaning.length > 10, code);
    }
  });
});

describe('codesThrownIn()', () => {
  it('sees literals, both ends of a condition, and what is neither', () => {
    const text = `
      throw new BoughError('a', { x: 1 });
      throw new BoughError(late ? 'b' : 'c');
      throw new BoughError(code);
      // new BoughError('d')
    `;
    assert.deepEqual(codesThrownIn({ path: 'src/x.ts', text }), ['a', 'b', 'c', undefined]);
  });
});
