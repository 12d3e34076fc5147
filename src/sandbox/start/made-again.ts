/**
 * A snapshot that is made again: from its image, as it was made the first time.
 *
 * That is what is left of one that this host cannot load. It is another boot: what the guest drew at random is another draw. It needs the
 * very image, by its digest, since another build of the same name may hold other programs: one that is here, or that came along. One that
 * was branched has a history which no image has.
 */
import { compact } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import { findImage, type Image } from '../../image/index.js';
import type { Manifest } from '../../store/index.js';
import type { HostContext } from '../host/context.js';
import type { BootSpec } from './boot-spec.js';

/** Of one whose manifest does not say how it was made. */
export const NO_RECIPE =
  'it was branched, or booted from other files than an image, and what its guest has done since is in its memory alone';

/** What is to be known of it. */
export type Made = Pick<Manifest, 'image' | 'machine' | 'recipe'>;

/** A snapshot cannot be made again. The message says why, and goes on from "it cannot be made again: ". */
export class NotRepeatable extends Error {
  override readonly name = 'NotRepeatable';
}

/** What to boot for it; `brought` gives the image that came with it. Throws NotRepeatable. */
export async function asItWasMade(
  { cacheDir }: Pick<HostContext, 'cacheDir'>,
  { image, machine, recipe }: Made,
  brought?: () => Promise<Image>,
): Promise<Omit<BootSpec, 'tag'>> {
  if (recipe === undefined) throw new NotRepeatable(NO_RECIPE);
  const here = await findImage(cacheDir, image.name).catch(() => undefined);
  const isHere = here?.digest === image.digest;
  if (!isHere && brought === undefined)
    throw new NotRepeatable(
      here === undefined
        ? `its image "${image.name}" is not here, or cannot be used`
        : `its image "${image.name}" has the digest ${image.digest.slice(0, 12)}, the one that is here ${here.digest.slice(0, 12)}`,
    );
  const { service, restMs, kernelCmdline } = recipe;
  const { memoryMiB, vcpus } = machine;
  return {
    ...{ image: isHere || !brought ? image.name : await brought(), memoryMiB, vcpus },
    ...compact({
      ...{ restMs, kernelCmdline },
      service: service && { start: service.args, ready: service.ready, readyTimeoutMs: service.timeoutMs },
    }),
  };
}

/** The same of a snapshot of this host, with its network policy. Throws `invalid_request`, `snapshot_not_found`. */
export async function asSnapshot(
  context: HostContext,
  tag: string,
  signal?: AbortSignal,
): Promise<Omit<BootSpec, 'tag'>> {
  using lease = await context.store.acquire(tag, 'a repetition of it', signal);
  const { manifest } = lease;
  try {
    return { ...(await asItWasMade(context, manifest)), ...compact({ network: manifest.network?.policy }) };
  } catch (error) {
    if (!(error instanceof NotRepeatable)) throw error;
    const problem = `cannot be made again: ${error.message}`;
    throw new BoughError('invalid_request', { field: 'like', problem }, { cause: error });
  }
}
