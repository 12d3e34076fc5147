import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { endpoints } from '../../src/contract/index.js';
import { openApiDocument } from '../../src/daemon/openapi.js';

const FILE = new URL('../../../docs/reference/openapi.json', import.meta.url);

interface Parameter {
  name: string;
  in: string;
  required: boolean;
}

describe('the OpenAPI document', () => {
  it('describes every parameter that a path names', () => {
    const paths = openApiDocument()['paths'] as Record<string, Record<string, { parameters: Parameter[] }>>;
    for (const [path, operations] of Object.entries(paths)) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      for (const { parameters } of Object.values(operations)) {
        const described = parameters.filter((each) => each.in === 'path' && each.required);
        assert.deepEqual(
          described.map(({ name }) => name),
          named,
          path,
        );
      }
    }
  });

  it('resolves every reference in it', () => {
    const document = openApiDocument();
    const found = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    const { schemas } = document['components'] as { schemas: Record<string, unknown> };
    assert(found.length > 10);
    for (const [, name = ''] of found) assert(name in schemas, name);
  });

  it('has every route of the table, and no other', () => {
    const paths = openApiDocument()['paths'] as Record<string, Record<string, unknown>>;
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const all = Object.values(endpoints).map(
      ({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`,
    );
    assert.deepEqual(described.sort(), all.sort());
  });

  it('is what docs/reference/openapi.json holds', async () => {
    const written = JSON.parse(await readFile(FILE, 'utf8')) as unknown;
    assert.deepEqual(written, JSON.parse(JSON.stringify(openApiDocument())), 'run `npm run docs`');
  });
});
