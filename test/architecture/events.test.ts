import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import ts from 'typescript';
import { eventTable, Events, type BoughEvent } from '../../src/contract/index.js';
import { readSources, type SourceFile } from './sources.js';

/** The names of the events that a file emits; one that is computed is `undefined`. What Node's servers emit is no event of ours. */
function emittedIn({ path, text }: SourceFile): (string | undefined)[] {
  const names: (string | undefined)[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /(^|(?<!server)[.#])emit$/i.test(node.expression.getText())) {
      const [name] = node.arguments;
      names.push(name !== undefined && ts.isStringLiteralLike(name) ? name.text : undefined);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return names;
}

describe('every event of the table', () => {
  it('is emitted somewhere, by its literal name', async () => {
    const sources = (await readSources('src')).filter(
      ({ path }) => !/^src\/(contract|qmp)\/|\.test\.ts$/.test(path),
    );
    const emitted = new Set(sources.flatMap(emittedIn));
    assert.deepEqual([...emitted].map(String).sort(), Object.keys(eventTable).sort());
  });
});

describe('emittedIn()', () => {
  it('sees names, in whichever way an event is emitted, and what is none', () => {
    const text = "emit('a', {}); context.emit('b', {}); this.#emit('c', {}); emit(name, {}); // emit('d')";
    assert.deepEqual(emittedIn({ path: 'src/x.ts', text }), ['a', 'b', 'c', undefined]);
  });
});

describe('Events', () => {
  it('tells everyone who subscribed, in order', () => {
    const events = new Events();
    const seen: BoughEvent[] = [];
    events.emit('gc.failed', { err: 'before anyone listens' });
    for (let subscribers = 0; subscribers < 2; subscribers += 1)
      events.subscribe((event) => seen.push(event));
    events.emit('call.failed', { code: 'internal' });
    assert.deepEqual(
      seen.map(({ name }) => name),
      ['call.failed', 'call.failed'],
    );
  });
});
