/** What is under way at the disk of a sandbox, or kept ready for it. */
import type { DiskRef } from '../../store/index.js';

/** An empty overlay the disk can be switched to; see disk/spares.ts. */
export interface SpareOverlay {
  readonly disk: DiskRef;
  readonly node: string;
}

/** A fold of its disk under way. */
export interface DiskFold {
  /** Resolves when the record says what became of it; never rejects. */
  readonly over: Promise<void>;
  /** Ends it early and resolves as `over` does; rejects if QEMU cannot be told, or does not end it in time. */
  cancel(): Promise<void>;
}
