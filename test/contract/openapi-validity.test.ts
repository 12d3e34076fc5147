import { Validator } from '@seriousme/openapi-schema-validator';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { z } from 'zod';
import { apiReference } from '../../src/daemon/api-reference.js';
import { openApiDocument } from '../../src/daemon/openapi.js';
import type { RouteTable } from '../../src/contract/index.js';

async function problemsOf(document: object): Promise<unknown> {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(
    JSON.parse(JSON.stringify(document)) as Record<string, unknown>,
  );
  assert.equal(validator.version, '3.1');
  return valid ? undefined : errors;
}

const row = { summary: 'A row.', scope: 'read', resource: 'daemon', errors: ['invalid_request'] } as const;
const everyKind = {
  upload: { ...row, kind: 'stream', method: 'PUT', path: '/v1/f/:name', replies: { 204: null } },
  size: { ...row, kind: 'stream', method: 'HEAD', path: '/v1/f/:name', replies: { 200: 'x/y' } },
  download: {
    ...{ ...row, kind: 'stream', method: 'GET', path: '/v1/f/:name', replies: { 200: 'x/y' } },
    ...{ params: z.object({ name: z.string() }), query: z.object({ from: z.string().optional() }) },
  },
  terminal: { ...row, kind: 'socket', method: 'GET', path: '/v1/terminal' },
} as const satisfies RouteTable;

describe('OpenAPI 3.1', () => {
  it('is what the whole table is described in', async () => {
    assert.equal(await problemsOf(openApiDocument()), undefined);
  });

  it('is what rows of every kind are described in', async () => {
    const document = openApiDocument(everyKind);
    assert.equal(await problemsOf(document), undefined);
    const { '/v1/f/{name}': file, '/v1/terminal': terminal } = document['paths'] as Record<string, object>;
    assert.deepEqual(Object.keys(file ?? {}), ['put', 'head', 'get']);
    assert.match(JSON.stringify(terminal), /"101"/);
    const page = apiReference(everyKind);
    for (const text of ['Body: bytes of any', 'a stream of `x/y`', 'a WebSocket', '### HEAD /v1/f/{name}']) {
      assert.ok(page.includes(text), text);
    }
  });

  it('is not just anything', async () => {
    const { paths, ...rest } = openApiDocument() as unknown as {
      paths: Record<string, Record<string, object>>;
    };
    const broken = { ...rest, paths: { ...paths, '/v1/gc': { post: { responses: 'none' } } } };
    assert.notEqual(await problemsOf(broken), undefined);
    assert.notEqual(await problemsOf({ ...rest, paths, info: { title: 'no version' } }), undefined);
  });
});
