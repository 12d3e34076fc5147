/** Handlers: snapshots. */

import type { Host } from '../../sandbox/host/host.js';
import { BoughError, NEXT_AFTER, pageOf } from '../../contract/index.js';
import type { Handlers } from '../rows/handlers.js';
import { wireSnapshot, wireSnapshotInfo } from './answers.js';
import { bootSpec } from './requests.js';

export function snapshotHandlers(
  host: Host,
): Pick<
  Handlers,
  | 'listSnapshots'
  | 'createSnapshot'
  | 'getSnapshot'
  | 'snapshotInfo'
  | 'deleteSnapshot'
  | 'compactSnapshot'
  | 'exportSnapshot'
  | 'importSnapshot'
  | 'trustedKeys'
> {
  return {
    async listSnapshots({ query, addHeader }, call) {
      const views = await host.listSnapshots(call);
      const { items, next } = pageOf(views, query, ({ createdAtUnix, tag }) => ({
        createdAtUnix,
        name: tag,
      }));
      if (next !== undefined) addHeader(NEXT_AFTER, next);
      return items.map(wireSnapshot);
    },
    createSnapshot: async ({ body }, call) => wireSnapshot(await host.createSnapshot(bootSpec(body), call)),
    getSnapshot: async ({ params }, call) => wireSnapshot(await host.getSnapshot(params.tag, call)),
    snapshotInfo: async ({ params }, call) => wireSnapshotInfo(await host.snapshotInfo(params.tag, call)),
    async deleteSnapshot({ params, query }, call) {
      await host.deleteSnapshot(params.tag, query, call);
      return undefined;
    },
    async compactSnapshot({ params, body }, call) {
      if (body.to === params.tag) {
        throw new BoughError('invalid_request', {
          field: 'to',
          problem: 'must differ from the snapshot itself',
        });
      }
      return wireSnapshot(await host.compactSnapshot(params.tag, body.to, call));
    },
    async exportSnapshot({ params }, call) {
      const { sizeBytes, digest, signedBy, bytes } = await host.hub.export(params.tag, call);
      return { headers: { 'content-length': String(sizeBytes), ...provenance(digest, signedBy) }, bytes };
    },
    async importSnapshot({ query, body }, call) {
      const spec = { tag: query.tag, allowUnsigned: query.allow_unsigned, bytes: body };
      const { snapshot, digest, signedBy } = await host.hub.import(spec, call);
      const headers = { 'bough-tag': snapshot.tag, ...provenance(digest, signedBy) };
      return { headers, made: [snapshot.tag] };
    },
    trustedKeys: async (_asked, call) => ({ keys: await host.hub.trustedKeys(call) }),
  };
}

const provenance = (digest: string, signedBy: string | undefined): Record<string, string> => ({
  'bough-digest': digest,
  ...(signedBy === undefined ? {} : { 'bough-signed-by': signedBy }),
});
