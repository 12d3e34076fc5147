/** A hub without files: a snapshot is a line with its tag. */
import { BoughError } from '../../src/contract/index.js';
import type { HubHost } from '../../src/sandbox/host/snapshot-hub.js';
import type { SnapshotView } from '../../src/store/index.js';

export interface Shelf {
  readonly find: (tag: string) => SnapshotView;
  readonly add: (tag: string) => SnapshotView;
}

const DIGEST = `sha256:${'0'.repeat(64)}`;

export function fakeHub({ find, add }: Shelf): HubHost {
  return {
    export: (tag) => {
      const line = Buffer.from(`${find(tag).tag}\n`);
      const facts = { sizeBytes: line.length, digest: DIGEST, signedBy: undefined };
      return Promise.resolve({ ...facts, bytes: once(line) });
    },
    trustedKeys: () => Promise.resolve([]),
    async import({ tag, allowUnsigned, bytes }) {
      let text = '';
      for await (const piece of bytes) text += Buffer.from(piece).toString('latin1');
      if (!text.endsWith('\n')) throw new BoughError('bad_snapshot_archive', { problem: 'it is cut off' });
      if (!allowUnsigned) throw new BoughError('snapshot_untrusted', { problem: 'nobody has signed it' });
      return { snapshot: add(tag ?? text.trim()), digest: DIGEST, signedBy: undefined };
    },
  };
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield await Promise.resolve(bytes);
}
