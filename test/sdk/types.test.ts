/** What must not compile: each line under `@ts-expect-error` fails the build if it does. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Bough } from 'bough/sdk';
import type { JsonNamesOf } from '../../src/contract/index.js';
import type { SandboxInfo as Sandbox, Snapshot } from '../../src/sdk/index.js';
import { table } from '../daemon/rows-table.js';

let calls = 0;
const answer: typeof fetch = () => {
  calls++;
  return Promise.resolve(new Response(null, { status: 204 }));
};
const { transport, snapshots, sandboxes } = new Bough({ url: 'http://localhost', fetch: answer });

describe('the types of the SDK', () => {
  it('take a call and give its answer as the route table has them', async () => {
    calls = 0;
    const listed: Promise<Sandbox[]> = transport.call('listSandboxes');
    const branched: Promise<Snapshot> = transport.call('branch', { params: { id: 'a' } });
    const text: Promise<string> = transport.call('metrics', { signal: AbortSignal.timeout(1000) });
    const nothing: Promise<undefined> = transport.call('deleteSnapshot', {
      params: { tag: 'a' },
      query: { force: true },
    });
    await Promise.all([listed, branched, text, nothing]);
    // @ts-expect-error an answer is not of another route's type
    const wrong: Promise<Snapshot> = transport.call('getSandbox', { params: { id: 'a' } });
    await wrong;
    assert.equal(calls, 5);
  });

  it('refuse a route that is not there', async () => {
    // @ts-expect-error no such route
    await assert.rejects(async () => transport.call('listSandbox'), TypeError);
  });

  it('have no stream and no socket among what is called as a whole', () => {
    const names: JsonNamesOf<typeof table>[] = ['put', 'get'];
    // @ts-expect-error a stream is not answered as a whole
    names.push('echo');
    // @ts-expect-error nor is a socket ever
    names.push('socket');
    const kinds = names.map((name) => table[name].kind);
    assert.deepEqual(kinds.slice(0, 2), ['json', 'json']);
  });

  it('refuse path parameters that are missing or not the route’s', async () => {
    // @ts-expect-error no parameters
    await assert.rejects(transport.call('getSandbox'), TypeError);
    // @ts-expect-error no parameters, although there are options
    await assert.rejects(transport.call('getSandbox', {}), TypeError);
    // @ts-expect-error a snapshot has a tag
    await assert.rejects(transport.call('getSnapshot', { params: { id: 'a' } }), TypeError);
  });

  it('refuse bodies and queries that the route does not take', async () => {
    calls = 0;
    await transport.call('spawn', { body: { snapshot_tag: 'a', n: 2 } });
    // @ts-expect-error the snapshot is missing
    await transport.call('spawn', { body: { n: 2 } });
    // @ts-expect-error a number is not text
    await transport.call('spawn', { body: { snapshot_tag: 'a', n: '2' } });
    // @ts-expect-error the body is missing
    await transport.call('spawn');
    // @ts-expect-error a listing takes no body
    await transport.call('listSandboxes', { body: {} });
    // @ts-expect-error no such flag
    await transport.call('deleteSnapshot', { params: { tag: 'a' }, query: { all: true } });
    // @ts-expect-error no such mode
    await sandboxes.branch('a', { mode: 'warm' });
    // @ts-expect-error a program is a list of words
    await sandboxes.exec('a', { args: 'ls' });
    // @ts-expect-error a snapshot is made of an image or of files
    await snapshots.create({ memory_mib: 1 });
    assert.equal(calls, 9);
  });
});
