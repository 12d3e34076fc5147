/**
 * What commands use of the rest of bough besides the HTTP API. Loaded when a command needs it, so that `bough
 * ls` does not load a daemon.
 */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compact, keepYoungHeapSmall } from '../base/index.js';
import type { Config } from '../daemon/config.js';
import type { Listening } from '../daemon/main.js';
import type { SettingName } from '../daemon/settings.js';
import type { ByRegistryOptions, Pulled, Pushed, RemoteFacts } from '../hub/index.js';
import type { Check, KernelSetting } from '../vmm/host/check.js';

/** A built image as `image ls` shows it. */
export interface ImageSummary {
  readonly name: string;
  readonly digest: string;
  readonly rootfsBytes: number;
  readonly memoryMiB: number;
  readonly vcpus: number;
  /** Of one that was imported. */
  readonly origin?: { readonly reference: string; readonly digest: string };
}

/** A snapshot in a registry, and how to come by it. */
export interface RegistryRequest {
  readonly reference: string;
  readonly cacheDir: string;
  readonly authFile?: string;
  readonly signal?: AbortSignal;
}

/** A public key. */
export interface HubKey {
  readonly fingerprint: string;
  readonly pem: string;
}

export interface Providers {
  readonly runDaemon: (
    flags: Partial<Record<SettingName, string>>,
    env: Readonly<Record<string, string | undefined>>,
    onListening: (listening: Listening) => void,
  ) => Promise<void>;
  /** Stops the daemon over a state folder; resolves with the pid it had, or undefined if there is none. */
  readonly stopDaemon: (stateDir: string, deadlineMs: number) => Promise<number | undefined>;
  readonly buildImage: (request: {
    name: string;
    cacheDir: string;
    onProgress: (words: string) => void;
  }) => Promise<ImageSummary>;
  /** Of a definition that lies anywhere. */
  readonly buildDefinition: (request: {
    file: string;
    cacheDir: string;
    onProgress: (words: string) => void;
  }) => Promise<ImageSummary>;
  readonly buildDockerfile: (request: {
    name: string;
    context: string;
    dockerfile?: string;
    buildArgs?: Readonly<Record<string, string>>;
    diskMiB?: number;
    cacheDir: string;
    onProgress: (words: string) => void;
    onLine: (line: string) => void;
  }) => Promise<ImageSummary>;
  readonly importImage: (request: {
    reference: string;
    cacheDir: string;
    name?: string;
    authFile?: string;
    diskMiB?: number;
    onProgress: (words: string) => void;
  }) => Promise<ImageSummary>;
  readonly listImages: (cacheDir: string) => Promise<ImageSummary[]>;
  /** Undefined when none of that name can be booted. */
  readonly findImage: (cacheDir: string, name: string) => Promise<ImageSummary | undefined>;
  readonly removeImage: (cacheDir: string, name: string) => Promise<void>;
  /** The names of the folders that nothing found any more, and that are gone. */
  readonly pruneImages: (cacheDir: string) => Promise<string[]>;
  /** Makes the key that signs snapshots which leave this host. */
  readonly generateHubKey: (keysDir: string) => Promise<HubKey>;
  /** Believes what a key, in PEM, has signed. */
  readonly trustHubKey: (keysDir: string, pem: string) => Promise<HubKey>;
  readonly listHubKeys: (keysDir: string) => Promise<(HubKey & { readonly signs: boolean })[]>;
  /** Sends a snapshot that comes as one file to a registry. */
  readonly pushSnapshot: (
    bytes: AsyncIterable<Uint8Array>,
    how: RegistryRequest & { readonly onSent?: (bytes: number, totalBytes: number) => void },
  ) => Promise<Pushed>;
  /** Fetches one, which stays until it was taken; with keys, in PEM, only one that a key of these has signed. */
  readonly pullSnapshot: (
    how: RegistryRequest & {
      readonly trustedKeys?: readonly string[];
      readonly onArrival?: (bytes: number, totalBytes: number) => void;
    },
  ) => Promise<Pulled>;
  readonly inspectSnapshot: (keysDir: string, how: RegistryRequest) => Promise<RemoteFacts>;
  /** Examines the host and the configuration's folders. */
  readonly runDoctor: (config: Config) => Promise<readonly Check[]>;
  /** Changes the running kernel. */
  readonly applySetting: (setting: KernelSetting) => Promise<void>;
}

/** The real ones. */
export const providers: Providers = {
  async runDaemon(flags, env, onListening) {
    keepYoungHeapSmall();
    const { runDaemon } = await import('../daemon/main.js');
    await runDaemon(flags, env, { onListening });
  },
  async stopDaemon(stateDir, deadlineMs) {
    const { stopDaemon } = await import('../daemon/stop.js');
    return stopDaemon(stateDir, deadlineMs);
  },
  async buildImage({ name, cacheDir, onProgress }) {
    const { buildImage } = await import('../image/index.js');
    return buildImage(cacheDir, name, { onProgress });
  },
  async buildDefinition({ file, cacheDir, onProgress }) {
    const { buildDefinition } = await import('../image/index.js');
    return buildDefinition(cacheDir, file, { onProgress });
  },
  async buildDockerfile({ cacheDir, ...options }) {
    const { buildDockerfile } = await import('../image/index.js');
    return buildDockerfile(cacheDir, options);
  },
  async importImage({ reference, cacheDir, ...options }) {
    const { importImage } = await import('../image/index.js');
    return importImage(cacheDir, reference, options);
  },
  async listImages(cacheDir) {
    const { listImages } = await import('../image/index.js');
    return listImages(cacheDir);
  },
  async findImage(cacheDir, name) {
    const { findImage } = await import('../image/index.js');
    return findImage(cacheDir, name);
  },
  async removeImage(cacheDir, name) {
    const { removeImage } = await import('../image/index.js');
    return removeImage(cacheDir, name);
  },
  async pruneImages(cacheDir) {
    const { pruneImages } = await import('../image/index.js');
    return pruneImages(cacheDir);
  },
  async generateHubKey(keysDir) {
    const { generateKey } = await import('../hub/index.js');
    return generateKey(keysDir);
  },
  async trustHubKey(keysDir, pem) {
    const { trustKey } = await import('../hub/index.js');
    return trustKey(keysDir, pem);
  },
  async listHubKeys(keysDir) {
    const { listKeys, readKeyring } = await import('../hub/index.js');
    return listKeys(await readKeyring(keysDir));
  },
  async pushSnapshot(bytes, how) {
    const { pushSnapshot, remoteOf } = await import('../hub/index.js');
    return pushSnapshot(bytes, remoteOf(how.reference), { ...byRegistry(how), onSent: how.onSent });
  },
  async pullSnapshot(how) {
    const { keyringOf, pullSnapshot, remoteOf } = await import('../hub/index.js');
    const { trustedKeys, onArrival } = how;
    const trust = trustedKeys && { keyring: keyringOf(trustedKeys), allowUnsigned: false };
    return pullSnapshot(remoteOf(how.reference), { ...byRegistry(how), trust, onArrival });
  },
  async inspectSnapshot(keysDir, how) {
    const { inspectSnapshot, readKeyring, remoteOf } = await import('../hub/index.js');
    return inspectSnapshot(remoteOf(how.reference), await readKeyring(keysDir), byRegistry(how));
  },
  async runDoctor({ stateDir, hotDir, cacheDir, accelerator, qemuPath, isolation }) {
    const [{ runDoctor }, { listImages }] = await Promise.all([
      import('../vmm/index.js'),
      import('../image/index.js'),
    ]);
    const [guest] = await listImages(cacheDir);
    return runDoctor({ stateDir, hotDir, cacheDir, accelerator, isolation, ...compact({ guest, qemuPath }) });
  },
  applySetting: ({ path, value }) => writeFile(path, `${value}\n`),
};

const byRegistry = ({ cacheDir, authFile, signal }: RegistryRequest): ByRegistryOptions => ({
  workDir: join(cacheDir, 'hub'),
  ...compact({ authFile, signal }),
});
