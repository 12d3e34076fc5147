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
    listSnapshots: () => host.listSnapshots(),
    createSnapshot: ({ body, signal, key }) => host.createSnapshot(body, signal, key),
    getSnapshot: ({ params }) => host.getSnapshot(params.tag),
    snapshotInfo: ({ params }) => host.snapshotInfo(params.tag),
    async deleteSnapshot({ params, query }) {
      await host.deleteSnapshot(params.tag, query);
      return undefined;
    },
    compactSnapshot({ params, body, key }) {
      if (body.to === params.tag) {
        throw new BoughError('invalid_request', {
          field: 'to',
          problem: 'must differ from the snapshot itself',
        });
      }
      return host.compactSnapshot(params.tag, body, key);
    },
  };
}
