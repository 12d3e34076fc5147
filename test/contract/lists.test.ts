import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isSelected, pageOf, selectorSchema, type Listed } from '../../src/contract/index.js';

describe('a selector', () => {
  const chosenBy = (selector: string): string[] => {
    const each = { ab: { a: 'b' }, ac: { a: 'c' }, both: { a: 'b', 'x/y': '' }, none: undefined };
    return Object.entries(each).flatMap(([name, metadata]) => (isSelected(selector, metadata) ? [name] : []));
  };

  it('chooses by equality, by what is not so, and by what is there', () => {
    assert.deepEqual(chosenBy('a=b'), ['ab', 'both']);
    assert.deepEqual(chosenBy('a==b'), ['ab', 'both']);
    assert.deepEqual(chosenBy('a!=b'), ['ac', 'none']);
    assert.deepEqual(chosenBy('a'), ['ab', 'ac', 'both']);
    assert.deepEqual(chosenBy('!a'), ['none']);
    assert.deepEqual(chosenBy(' a = b , x/y '), ['both']);
    assert.deepEqual(chosenBy('x/y='), ['both']);
    assert.deepEqual(chosenBy('a=b,a=c'), []);
  });

  it('finds no key that is not the metadata’s own', () => {
    for (const selector of ['toString', '__proto__', 'constructor']) assert.deepEqual(chosenBy(selector), []);
  });

  it('is refused when it could mean anything else, above all when it is empty', () => {
    for (const text of ['', ' ', ',', 'a=b,', '=b', '!a=b', '!', 'a=b=c', 'a!b', 'a b=!', 'x'.repeat(5000)])
      assert.equal(selectorSchema.safeParse(text).success, false, JSON.stringify(text));
  });
});

describe('a list in pages', () => {
  const item = (createdAtUnix: number, name: string): Listed => ({ createdAtUnix, name });
  const list = [item(5, 'b'), item(3, 'z'), item(5, 'a'), item(9, 'c')];
  const names = (items: readonly Listed[]): string[] => items.map(({ name }) => name);

  it('is as it was when no page is asked for', () => {
    assert.equal(pageOf(list, {}, (each) => each).items, list);
  });

  it('has every item once, oldest first, whatever is removed or made meanwhile', () => {
    const seen: string[] = [];
    let [items, after] = [list, undefined as string | undefined];
    do {
      const page = pageOf(items, { limit: 2, after }, (each) => each);
      seen.push(...names(page.items));
      after = page.next;
      // The last of the page goes, and another comes.
      items = [...items.filter(({ name }) => name !== seen.at(-1)), item(11, `d${seen.length}`)].slice(0, 5);
    } while (after !== undefined && seen.length < 9);
    assert.deepEqual(seen.slice(0, 4), ['z', 'a', 'b', 'c']);
    assert.equal(new Set(seen).size, seen.length);
  });

  it('says nothing of a next page on the last one', () => {
    const page = pageOf(list, { limit: 4 }, (each) => each);
    assert.deepEqual([names(page.items), page.next], [['z', 'a', 'b', 'c'], undefined]);
    assert.deepEqual(
      pageOf(list, { after: '9.c' }, (each) => each),
      { items: [] },
    );
  });
});
