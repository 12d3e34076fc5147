import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DraftRequest } from '../../store/index.js';
import type { Sandbox } from '../entity/sandbox.js';
import { ownCall } from '../host/call.js';
import type { HostContext } from '../host/context.js';
import { startBranch } from './capture.js';
import { LINE_HARD_LIMIT } from './line.js';

describe('a branch', () => {
  it('is numbered after one that was made while it waited for room in the line', async () => {
    const layers = Array.from({ length: LINE_HARD_LIMIT }, () => ({ id: '', path: '', runs: [] }));
    const sandbox = {
      ...{ id: 'sb1', vm: {}, privateBytes: () => 0, takes: () => true },
      claimForBranch: () => () => undefined,
      record: { branchCount: 6, snapshotTag: 'base', layers: [], disks: [], line: { layers } as unknown },
      merges: {
        size: 1,
        settled: () => {
          Object.assign(sandbox.record, { branchCount: 7, line: undefined });
          return Promise.resolve();
        },
      },
    };
    const asked: DraftRequest[] = [];
    const draft = (request: DraftRequest): never => {
      asked.push(request);
      throw new Error('that is all');
    };
    const context = { store: { draft } } as unknown as HostContext;
    const spec = { tag: 'next', mode: 'live', wait: 'ready', retention: { checkpoint: {} } } as const;
    await assert.rejects(startBranch(context, sandbox as unknown as Sandbox, spec, ownCall()), /that is all/);
    assert.deepEqual(
      asked.map(({ retention }) => retention?.ordinal),
      [8],
    );
  });
});
