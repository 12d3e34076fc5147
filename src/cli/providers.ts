/**
 * What commands use of the rest of bough besides the HTTP API. Loaded when a command needs it, so that `bough ls`
 * does not load a daemon.
 */

import { compact } from '../base/index.js';
import type { Config, SettingName } from '../daemon/config.js';
import type { Check } from '../vmm/host/check.js';

/** A built image as `image ls` shows it. */
export interface ImageSummary {
  readonly name: string;
  readonly digest: string;
  readonly rootfsBytes: number;
  readonly memoryMiB: number;
  readonly vcpus: number;
}

export interface Providers {
  readonly runDaemon: (
    flags: Partial<Record<SettingName, string>>,
    env: Readonly<Record<string, string | undefined>>,
  ) => Promise<void>;
  readonly buildImage: (request: {
    name: string;
    cacheDir: string;
    onProgress: (words: string) => void;
  }) => Promise<ImageSummary>;
  readonly listImages: (cacheDir: string) => Promise<ImageSummary[]>;
  /** Examines the host and the configuration's folders. */
  readonly runDoctor: (config: Config) => Promise<readonly Check[]>;
}

/** The real ones. */
export const providers: Providers = {
  async runDaemon(flags, env) {
    const { runDaemon } = await import('../daemon/main.js');
    await runDaemon(flags, env);
  },
  async buildImage({ name, cacheDir, onProgress }) {
    const { buildImage } = await import('../image/index.js');
    return buildImage(cacheDir, name, { onProgress });
  },
  async listImages(cacheDir) {
    const { listImages } = await import('../image/index.js');
    return listImages(cacheDir);
  },
  async runDoctor({ stateDir, hotDir, cacheDir }) {
    const [{ runDoctor }, { listImages }] = await Promise.all([
      import('../vmm/index.js'),
      import('../image/index.js'),
    ]);
    const [guest] = await listImages(cacheDir);
    return runDoctor({ stateDir, hotDir, cacheDir, ...compact({ guest }) });
  },
};
