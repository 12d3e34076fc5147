/** Routes of secrets: what is written is never answered, whatever goes wrong. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Secret } from '../../src/contract/index.js';
import { Secrets } from '../../src/sandbox/entity/secrets.js';
import { compact } from '../../src/base/index.js';
import { testServer, token, type TestServer } from './support.js';

const VALUE = 'sesame-0123456789';
const HOSTS = ['api.example.com', '*.example.org:8443'];

describe('a secret', () => {
  let folder = '';
  let server: TestServer;
  before(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'bough-secrets-')), 'secrets');
    const secrets = await Secrets.open(folder);
    server = testServer({
      listSecrets: () => Promise.resolve(secrets.list()),
      setSecret: (name, request) => secrets.set(name, request),
      removeSecret: (name) => secrets.remove(name),
    });
  });
  after(() => rm(join(folder, '..'), { recursive: true }));

  const ask = async (line: string, payload?: object | string, to = server) => {
    const [method, url] = line.split(' ') as ['GET' | 'PUT' | 'DELETE', string];
    const headers = { host: 'localhost', 'content-type': 'application/json' };
    const reply = await to.app.inject({ method, url, headers, ...compact({ payload }) });
    assert(!reply.body.includes(VALUE), `${line} answers with the value`);
    return { status: reply.statusCode, body: reply.body === '' ? {} : reply.json<Record<string, unknown>>() };
  };

  it('is made, shown without its value, replaced and removed', async () => {
    const made = await ask('PUT /v1/secrets/key', { value: VALUE, hosts: HOSTS });
    assert.equal(made.status, 200);
    const { updated_at_unix: at, ...rest } = made.body as unknown as Secret;
    assert(at > 1_700_000_000);
    assert.deepEqual(rest, { name: 'key', hosts: HOSTS, header: 'Authorization', format: 'Bearer {}' });
    await ask('PUT /v1/secrets/key', { value: VALUE, hosts: HOSTS, header: 'X-Key', format: '{}' });
    const listed = (await ask('GET /v1/secrets')).body as unknown as Secret[];
    assert.deepEqual(
      listed.map(({ name, header, format }) => [name, header, format]),
      [['key', 'X-Key', '{}']],
    );
    assert.deepEqual(await readdir(folder), ['key.json']);
    assert.equal((await stat(join(folder, 'key.json'))).mode & 0o777, 0o600);
    assert((await readFile(join(folder, 'key.json'), 'utf8')).includes(VALUE));
    assert.equal((await Secrets.open(folder)).list().length, 1);

    assert.equal((await ask('DELETE /v1/secrets/key')).status, 204);
    assert.deepEqual((await ask('GET /v1/secrets')).body, []);
    const again = await ask('DELETE /v1/secrets/key');
    assert.deepEqual([again.status, again.body['code']], [404, 'secret_not_found']);
    // Whom it was for stays known.
    const kept = await readFile(join(folder, 'key.json'), 'utf8');
    assert(kept.includes('api.example.com') && !kept.includes(VALUE));
    assert.deepEqual((await Secrets.open(folder)).list(), []);
  });

  it('that cannot be is refused with the field, and without the value', async () => {
    const good = { value: VALUE, hosts: ['api.example.com'] };
    const bad: readonly (readonly [object, string])[] = [
      [{ hosts: good.hosts }, 'value'],
      [{ ...good, value: '' }, 'value'],
      [{ ...good, value: `${VALUE}\n` }, 'value'],
      [{ ...good, value: `${VALUE}\r\nHost: x` }, 'value'],
      [{ ...good, value: ` ${VALUE}` }, 'value'],
      [{ ...good, value: `${VALUE}\u00e9` }, 'value'],
      [{ ...good, value: [VALUE] }, 'value'],
      [{ ...good, value: VALUE.repeat(1000) }, 'value'],
      [{ value: VALUE }, 'hosts'],
      [{ ...good, hosts: [] }, 'hosts'],
      [{ ...good, hosts: [''] }, 'hosts.0'],
      [{ ...good, hosts: ['*'] }, 'hosts.0'],
      [{ ...good, hosts: ['api.example.com', '10.0.0.1'] }, 'hosts.1'],
      [{ ...good, hosts: ['0x7f.1'] }, 'hosts.0'],
      [{ ...good, hosts: ['host.bough.internal'] }, 'hosts.0'],
      [{ ...good, hosts: ['api.example.com:0'] }, 'hosts.0'],
      [{ ...good, hosts: ['api.example.com:65536'] }, 'hosts.0'],
      [{ ...good, hosts: ['https://api.example.com'] }, 'hosts.0'],
      [{ ...good, header: 'X Key' }, 'header'],
      [{ ...good, header: 'Host' }, 'header'],
      [{ ...good, header: 'transfer-encoding' }, 'header'],
      [{ ...good, header: ':path' }, 'header'],
      [{ ...good, format: 'Bearer' }, 'format'],
      [{ ...good, format: '{}{}' }, 'format'],
      [{ ...good, format: '{}\r\n' }, 'format'],
      [{ ...good, host: 'api.example.com' }, 'host'],
    ];
    for (const [body, field] of bad) {
      const refused = await ask('PUT /v1/secrets/bad', body);
      const said = JSON.stringify(body).slice(0, 200);
      assert.deepEqual([refused.status, refused.body['code']], [400, 'invalid_request'], said);
      assert.equal((refused.body['details'] as Record<string, unknown>)['field'], field, said);
    }
    for (const broken of [`{"value":"${VALUE}"`, `["${VALUE}"]`, `"${VALUE}"`])
      assert.equal((await ask('PUT /v1/secrets/bad', broken)).status, 400);
    for (const name of ['a.b', '%2e%2ekey', 'x'.repeat(65), '%00'])
      assert.equal((await ask(`PUT /v1/secrets/${name}`, good)).status, 400, name);
    assert.deepEqual((await ask('GET /v1/secrets')).body, []);
  });

  it('is nothing to who has no token', async () => {
    const guarded = testServer({}, { token });
    for (const line of ['GET /v1/secrets', 'PUT /v1/secrets/key', 'DELETE /v1/secrets/key'])
      assert.equal((await ask(line, line.startsWith('PUT') ? '{' : undefined, guarded)).status, 401, line);
  });
});
