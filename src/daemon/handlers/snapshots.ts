/** Handlers: snapshots. */

import type { Host } from '../../sandbox/host/host.js';
import { BoughError } from '../../contract/index.js';
import type { Handlers } from '../calls.js';

export function snapshotHandlers(
  host: Host,
): Pick<
  Handlers,
  'listSnapshots' | 'createSnapshot' | 'getSnapshot' | 'snapshotInfo' | 'deleteSnapshot' | 'compactSnapshot'
> {
  return {
    listSnapshots: (_, call) => host.listSnapshots(call),
    createSnapshot: ({ body }, call) => host.createSnapshot(body, call),
    getSnapshot: ({ params }, call) => host.getSnapshot(params.tag, call),
    snapshotInfo: ({ params }, call) => host.snapshotInfo(params.tag, call),
    async deleteSnapshot({ params, query }, call) {
      await host.deleteSnapshot(params.tag, query, call);
      return undefined;
    },
    compactSnapshot({ params, body }, call) {
      if (body.to === params.tag) {
        throw new BoughError('invalid_request', {
          field: 'to',
          problem: 'must differ from the snapshot itself',
        });
      }
      return host.compactSnapshot(params.tag, body, call);
    },
  };
}
