/**
 * The daemon's configuration, from the flags and environment variables of settings.ts. This is the only place of the daemon that
 * reads either.
 *
 * Invariant: a `Config` that exists is valid; what is wrong is named by its flag in a `ConfigError`.
 * Not handled: the tokens themselves (auth/) and whether the directories can be used (the store finds out).
 */

import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ISOLATION_LEVELS, type IsolationLevel } from '../contract/index.js';
import { DEFAULT_VMM_UIDS, type UidRange } from '../vmm/process/vmm-user.js';
import { absolutePath, dnsServers, origins, size, uidRange } from './config-fields.js';
import { WANTED_ACCELERATORS, type WantedAccelerator } from '../vmm/host/wanted-accelerator.js';
import { settings, type SettingName } from './settings.js';

export interface Config {
  readonly listen: ListenAddress;
  /** Durable snapshots and sandbox records. */
  readonly stateDir: string;
  /** On tmpfs: layers in memory and all Unix sockets. */
  readonly hotDir: string;
  /** Built images. */
  readonly cacheDir: string;
  readonly tokenFile: string | undefined;
  /** Tokens with names and scopes; it need not be there. */
  readonly tokensFile: string;
  /** Who changed what. */
  readonly auditLog: string;
  /** Whose pages may call, besides the daemon's own. */
  readonly allowedOrigins: ReadonlySet<string>;
  /** The certificate to show; plain HTTP without. */
  readonly tls: CertificateFiles | undefined;
  readonly logLevel: LogLevel;
  readonly maxConcurrentBranches: number;
  /** What all snapshots together may take on disk. */
  readonly diskQuotaBytes: number | undefined;
  /** What all memory layers together may take in the hot tier. */
  readonly hotBudgetBytes: number | undefined;
  /** Memory of this host that no sandbox is started into. */
  readonly memoryReserveBytes: number | undefined;
  /** VMMs that stand ready, of each machine that children were lately started on. */
  readonly warmVmms: number;
  /** What guests boot under. */
  readonly accelerator: WantedAccelerator;
  /** QEMU's program. */
  readonly qemuPath: string | undefined;
  /** File with the rules of presets. */
  readonly networkPresets: string | undefined;
  /** Where names that sandboxes ask for are resolved, in place of the host's own servers. */
  readonly dnsServers: readonly string[] | undefined;
  /** Keys that sign snapshots that leave, and those whose snapshots are believed. */
  readonly hubKeysDir: string;
  /** Whom to trust that vouches for hosts that secrets are sent to, in place of the host's own bundle. */
  readonly trustFile: string | undefined;
  /** What a sandbox has of which neither its request nor its snapshot says anything. */
  readonly networkDefault: NetworkDefault;
  /** What is to be between VMs and the host; `auto` is as much as the host can. */
  readonly isolation: WantedIsolation;
  /** The daemon does not start with less. */
  readonly requireIsolation: IsolationLevel;
  /** Users that VMMs run as. */
  readonly vmmUids: UidRange;
}

const WANTED_ISOLATION = ['auto', ...ISOLATION_LEVELS] as const;
export type WantedIsolation = (typeof WANTED_ISOLATION)[number];

const NETWORK_DEFAULTS = ['none', 'off'] as const;
export type NetworkDefault = (typeof NETWORK_DEFAULTS)[number];

export interface ListenAddress {
  readonly host: string;
  /** 0 asks the kernel for a free one. */
  readonly port: number;
  readonly isLoopback: boolean;
}

/** A certificate and its key, in PEM. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** The configuration is wrong; the message names the flag and what was found. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

// A socket's path must stay under 108 bytes, and sockets live some levels below the hot absolutePath.
const maxHotDirLength = 60;

const schemas = {
  listen: z.string().transform(parseListenAddress),
  stateDir: absolutePath,
  hotDir: absolutePath.max(
    maxHotDirLength,
    `must be at most ${maxHotDirLength} characters: sockets live in it`,
  ),
  cacheDir: absolutePath,
  tokenFile: absolutePath.optional(),
  tokensFile: absolutePath,
  auditLog: absolutePath,
  allowOrigins: origins,
  tlsCert: absolutePath.optional(),
  tlsKey: absolutePath.optional(),
  logLevel: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`),
  maxConcurrentBranches: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number from 1 to 1000')
    .transform(Number)
    .pipe(z.int().min(1).max(1000, 'must be a whole number from 1 to 1000')),
  diskQuota: size.optional(),
  hotBudget: size.optional(),
  memoryReserve: size.optional(),
  warmVmms: z
    .string()
    .regex(/^\d{1,2}$/, 'must be a whole number from 0 to 99')
    .transform(Number),
  accelerator: z.enum(WANTED_ACCELERATORS, `must be one of ${WANTED_ACCELERATORS.join(', ')}`),
  qemu: absolutePath.optional(),
  networkPresets: absolutePath.optional(),
  dnsServers: dnsServers.optional(),
  hubKeys: absolutePath,
  trustFile: absolutePath.optional(),
  isolation: z.enum(WANTED_ISOLATION, `must be one of ${WANTED_ISOLATION.join(', ')}`),
  requireIsolation: z.enum(ISOLATION_LEVELS, `must be one of ${ISOLATION_LEVELS.join(', ')}`),
  vmmUids: uidRange,
  networkDefault: z.enum(NETWORK_DEFAULTS, `must be one of ${NETWORK_DEFAULTS.join(', ')}`),
} as const satisfies Record<SettingName, z.ZodType>;

/**
 * Settles the configuration: a flag wins over its environment variable, that over the default. An empty
 * variable counts as absent. Throws `ConfigError`.
 */
export function loadConfig(
  flags: Partial<Record<SettingName, string>>,
  env: Readonly<Record<string, string | undefined>>,
): Config {
  const read = (name: SettingName) => {
    const fromEnv = env[settings[name].env];
    return flags[name] ?? (fromEnv === '' ? undefined : fromEnv);
  };

  const settle = <N extends SettingName>(name: N, fallback?: string): z.output<(typeof schemas)[N]> => {
    const fromFlag = flags[name] !== undefined;
    const text = read(name) ?? fallback;
    const result = schemas[name].safeParse(text);
    if (result.success) return result.data as z.output<(typeof schemas)[N]>;
    const source = fromFlag ? settings[name].flag : settings[name].env;
    throw new ConfigError(
      `${source} ${result.error.issues[0]?.message ?? 'is invalid'}, not ${JSON.stringify(text)}`,
    );
  };

  const stateDir = settle('stateDir', defaultDirectory('/var/lib/bough', '.local/state/bough'));
  return {
    listen: settle('listen', '127.0.0.1:8889'),
    stateDir,
    hotDir: settle('hotDir', defaultHotDir(stateDir)),
    cacheDir: settle('cacheDir', defaultDirectory('/var/cache/bough', '.cache/bough')),
    tokenFile: settle('tokenFile'),
    tokensFile: settle('tokensFile', join(stateDir, 'tokens.json')),
    auditLog: settle('auditLog', join(stateDir, 'audit.log')),
    allowedOrigins: settle('allowOrigins', ''),
    tls: certificateFiles(settle('tlsCert'), settle('tlsKey')),
    logLevel: settle('logLevel', 'info'),
    maxConcurrentBranches: settle('maxConcurrentBranches', '4'),
    diskQuotaBytes: settle('diskQuota'),
    hotBudgetBytes: settle('hotBudget'),
    memoryReserveBytes: settle('memoryReserve'),
    warmVmms: settle('warmVmms', '0'),
    accelerator: settle('accelerator', 'auto'),
    qemuPath: settle('qemu'),
    networkPresets: settle('networkPresets'),
    dnsServers: settle('dnsServers'),
    hubKeysDir: settle('hubKeys', defaultDirectory('/etc/bough/keys', '.config/bough/keys')),
    trustFile: settle('trustFile'),
    networkDefault: settle('networkDefault', 'none'),
    isolation: settle('isolation', 'none'),
    requireIsolation: settle('requireIsolation', 'none'),
    vmmUids: settle('vmmUids', `${DEFAULT_VMM_UIDS.first}-${DEFAULT_VMM_UIDS.last}`),
  };
}

function certificateFiles(certFile?: string, keyFile?: string): CertificateFiles | undefined {
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile === undefined && keyFile === undefined) return undefined;
  throw new ConfigError('--tls-cert and --tls-key go together: give both, or neither');
}

function defaultDirectory(forRoot: string, belowHome: string): string {
  return process.getuid?.() === 0 ? forRoot : join(homedir(), belowHome);
}

function defaultHotDir(stateDir: string): string {
  const hash = createHash('sha256').update(stateDir).digest('hex').slice(0, 8);
  return `/dev/shm/bough-${hash}`;
}

function parseListenAddress(text: string, context: z.RefinementCtx): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65535) {
    context.addIssue({ code: 'custom', message: 'must be host:port or [IPv6]:port' });
    return z.NEVER;
  }
  return { host, port, isLoopback: isLoopback(host) };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
