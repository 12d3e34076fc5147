/**
 * The daemon's configuration: one table of settings, each with a flag and an environment variable. This is
 * the only place of the daemon that reads either.
 *
 * Invariant: a `Config` that exists is valid; what is wrong is named by its flag in a `ConfigError`.
 * Not handled: the tokens themselves (auth/) and whether the directories can be used (the store finds out).
 */

import { createHash } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { WANTED_ACCELERATORS, type WantedAccelerator } from '../vmm/host/wanted-accelerator.js';

/** A setting as the command line shows it. */
export interface Setting {
  readonly flag: string;
  readonly env: string;
  readonly placeholder: string;
  readonly summary: string;
}

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
}

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

export const settings = {
  listen: {
    flag: '--listen',
    env: 'BOUGH_LISTEN',
    placeholder: 'host:port',
    summary: 'address to listen on (default 127.0.0.1:8889); any but loopback needs a token',
  },
  stateDir: {
    flag: '--state-dir',
    env: 'BOUGH_STATE_DIR',
    placeholder: 'dir',
    summary: 'durable snapshots (default /var/lib/bough for root, else ~/.local/state/bough)',
  },
  hotDir: {
    flag: '--hot-dir',
    env: 'BOUGH_HOT_DIR',
    placeholder: 'dir',
    summary: 'memory layers, on tmpfs (default /dev/shm/bough-<hash of the state dir>)',
  },
  cacheDir: {
    flag: '--cache-dir',
    env: 'BOUGH_CACHE_DIR',
    placeholder: 'dir',
    summary: 'built images (default /var/cache/bough for root, else ~/.cache/bough)',
  },
  tokenFile: {
    flag: '--token-file',
    env: 'BOUGH_TOKEN_FILE',
    placeholder: 'file',
    summary: 'file with the token clients must send; mode 0600, at least 32 characters',
  },
  tokensFile: {
    flag: '--tokens-file',
    env: 'BOUGH_TOKENS_FILE',
    placeholder: 'file',
    summary:
      'tokens that `bough token add` makes, followed while the daemon runs (default tokens.json in the state dir)',
  },
  auditLog: {
    flag: '--audit-log',
    env: 'BOUGH_AUDIT_LOG',
    placeholder: 'file',
    summary:
      'who changed what, as JSON lines; 16 MiB and four earlier ones (default audit.log in the state dir)',
  },
  tlsCert: {
    flag: '--tls-cert',
    env: 'BOUGH_TLS_CERT',
    placeholder: 'file',
    summary: 'certificate in PEM, its chain behind it, to serve HTTPS with; followed while the daemon runs',
  },
  tlsKey: {
    flag: '--tls-key',
    env: 'BOUGH_TLS_KEY',
    placeholder: 'file',
    summary: 'its key, in PEM',
  },
  logLevel: {
    flag: '--log-level',
    env: 'BOUGH_LOG_LEVEL',
    placeholder: 'level',
    summary: 'fatal, error, warn, info, debug, trace or silent (default info)',
  },
  maxConcurrentBranches: {
    flag: '--max-concurrent-branches',
    env: 'BOUGH_MAX_CONCURRENT_BRANCHES',
    placeholder: 'n',
    summary: 'branches in flight at once before 503 (default 4)',
  },
  diskQuota: {
    flag: '--disk-quota',
    env: 'BOUGH_DISK_QUOTA',
    placeholder: 'size',
    summary: 'what all snapshots together may take on disk, such as 50G (default: what the disk holds)',
  },
  hotBudget: {
    flag: '--hot-budget',
    env: 'BOUGH_HOT_BUDGET',
    placeholder: 'size',
    summary: 'memory layers kept in the hot store, such as 8G (default: half of its file system)',
  },
  memoryReserve: {
    flag: '--memory-reserve',
    env: 'BOUGH_MEMORY_RESERVE',
    placeholder: 'size',
    summary: 'memory of the host that no sandbox is started into (default 512M)',
  },
  accelerator: {
    flag: '--accelerator',
    env: 'BOUGH_ACCELERATOR',
    placeholder: 'name',
    summary: 'what guests boot under: kvm, tcg, or auto, which tries KVM (default auto)',
  },
  qemu: {
    flag: '--qemu',
    env: 'BOUGH_QEMU',
    placeholder: 'file',
    summary: 'the QEMU to run (default /usr/bin/qemu-system-x86_64)',
  },
  networkPresets: {
    flag: '--network-presets',
    env: 'BOUGH_NETWORK_PRESETS',
    placeholder: 'file',
    summary: 'rules behind the presets of network policies, as JSON (default: no preset is known)',
  },
  dnsServers: {
    flag: '--dns-servers',
    env: 'BOUGH_DNS_SERVERS',
    placeholder: 'addresses',
    summary:
      'where names that sandboxes ask for are resolved, such as 10.0.0.53,[fd00::53]:5353 (default: as the host)',
  },
  hubKeys: {
    flag: '--hub-keys',
    env: 'BOUGH_HUB_KEYS',
    placeholder: 'dir',
    summary:
      'keys that sign snapshots, and that are believed (default /etc/bough/keys for root, else ~/.config/bough/keys)',
  },
  trustFile: {
    flag: '--trust-file',
    env: 'BOUGH_TRUST_FILE',
    placeholder: 'file',
    summary: 'certificates to trust, as PEM, where secrets are sent to (default: those that the host trusts)',
  },
  networkDefault: {
    flag: '--network-default',
    env: 'BOUGH_NETWORK_DEFAULT',
    placeholder: 'mode',
    summary:
      'network of sandboxes of which nothing is said: none, or off, which a policy can open later (default none)',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

// A socket's path must stay under 108 bytes, and sockets live some levels below the hot absolutePath.
const maxHotDirLength = 60;

const absolutePath = z
  .string()
  .refine(isAbsolute, 'must be an absolute path')
  .refine((path) => !path.includes('\0'), 'must not contain NUL');

const sizeUnits = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 } as const;

/** Bytes, or a number with K, M, G or T, all binary; `GiB` and `GB` mean the same as `G`. */
const size = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?$/i.exec(text);
  const unit = sizeUnits[(match?.[2] ?? '').toUpperCase() as keyof typeof sizeUnits];
  const bytes = Math.floor(Number(match?.[1]) * unit);
  if (bytes > 0 && bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  context.addIssue({ code: 'custom', message: 'must be a size, such as 500M or 50G' });
  return z.NEVER;
});

const dnsServers = z.string().transform((text, context) => {
  const servers = text.split(',').map((server) => server.trim());
  if (servers.every(isServer)) return servers;
  context.addIssue({ code: 'custom', message: 'must be addresses, such as 10.0.0.53,[fd00::53]:5353' });
  return z.NEVER;
});

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
  accelerator: z.enum(WANTED_ACCELERATORS, `must be one of ${WANTED_ACCELERATORS.join(', ')}`),
  qemu: absolutePath.optional(),
  networkPresets: absolutePath.optional(),
  dnsServers: dnsServers.optional(),
  hubKeys: absolutePath,
  trustFile: absolutePath.optional(),
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
    tls: certificateFiles(settle('tlsCert'), settle('tlsKey')),
    logLevel: settle('logLevel', 'info'),
    maxConcurrentBranches: settle('maxConcurrentBranches', '4'),
    diskQuotaBytes: settle('diskQuota'),
    hotBudgetBytes: settle('hotBudget'),
    memoryReserveBytes: settle('memoryReserve'),
    accelerator: settle('accelerator', 'auto'),
    qemuPath: settle('qemu'),
    networkPresets: settle('networkPresets'),
    dnsServers: settle('dnsServers'),
    hubKeysDir: settle('hubKeys', defaultDirectory('/etc/bough/keys', '.config/bough/keys')),
    trustFile: settle('trustFile'),
    networkDefault: settle('networkDefault', 'none'),
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

/** An address, with a port or without, as `dns.setServers` takes it. */
function isServer(server: string): boolean {
  const [, v6, v4 = '', port = '53'] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(server) ?? [];
  const isAddress = v6 === undefined ? isIPv4(v4) || isIPv6(server) : isIPv6(v6);
  return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
