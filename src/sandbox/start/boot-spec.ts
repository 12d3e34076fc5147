/** What a snapshot is to be made of: an image, files of the caller's own, or as another snapshot was made. */
import type { NetworkPolicy } from '../../contract/index.js';
import type { Image } from '../../image/index.js';
import type { RetentionSpec } from '../entity/retention.js';
import type { GuestFiles } from './image-of-files.js';
import type { ServiceSpec } from './service.js';

/** Another snapshot, to be made again under another tag. */
export interface SnapshotToRepeat {
  readonly like: string;
}

/** What to boot and capture. */
export interface BootSpec extends HowToBoot {
  /** A built image's name, one that came with a snapshot, or files of the caller's own. */
  readonly image: string | Image | GuestFiles;
}

/** Of the caller's own, which may be written to. */
export const isGuestFiles = (image: BootSpec['image']): image is GuestFiles =>
  typeof image !== 'string' && 'kernel' in image;

/** The same, as it is asked for. */
export interface SnapshotSpec extends HowToBoot {
  readonly image: BootSpec['image'] | SnapshotToRepeat;
}

interface HowToBoot {
  readonly tag: string;
  /** Appended to the kernel's command line. */
  readonly kernelCmdline?: string | undefined;
  /** Default: the image's. */
  readonly memoryMiB?: number | undefined;
  readonly vcpus?: number | undefined;
  /** How long the guest runs on after its agent answered, before the capture. */
  readonly restMs?: number | undefined;
  /** What runs in it by then. */
  readonly service?: ServiceSpec | undefined;
  readonly retention?: RetentionSpec | undefined;
  /** For the boot, and for children. */
  readonly network?: NetworkPolicy | undefined;
  /** Of one that is made again because it cannot be loaded: why. */
  readonly rebuilt?: string | undefined;
}
