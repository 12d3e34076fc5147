/** The daemon's settings, each with a flag and an environment variable; what they may hold is for config.ts to check. */

/** A setting as the command line shows it. */
export interface Setting {
  readonly flag: string;
  readonly env: string;
  readonly placeholder: string;
  readonly summary: string;
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
  allowOrigins: {
    flag: '--allow-origins',
    env: 'BOUGH_ALLOW_ORIGINS',
    placeholder: 'origins',
    summary:
      'whose pages may call from a browser, such as https://a.example,http://localhost:3000; without a token they may do all (default: none)',
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
  warmVmms: {
    flag: '--warm-vmms',
    env: 'BOUGH_WARM_VMMS',
    placeholder: 'n',
    summary:
      'virtual machines that stand ready to become children, of each of the last two machines that were started (default 0)',
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
  isolation: {
    flag: '--isolation',
    env: 'BOUGH_ISOLATION',
    placeholder: 'level',
    summary:
      'walls around VMMs: none; namespaced, where each has namespaces of its own and reaches no network and no files but what it needs (Linux 5.19; the daemon must not be root); user, where each runs as a user of its own and reaches no network (the daemon must be root); confined, where it also reaches no files but what it needs (Linux 5.19); or auto, as much as the host can (default none)',
  },
  requireIsolation: {
    flag: '--require-isolation',
    env: 'BOUGH_REQUIRE_ISOLATION',
    placeholder: 'level',
    summary:
      'do not start where VMMs would have less: none, namespaced, user or confined, which has all that the others have (default none)',
  },
  vmmUids: {
    flag: '--vmm-uids',
    env: 'BOUGH_VMM_UIDS',
    placeholder: 'first-last',
    summary:
      'users for VMMs, which nothing else on the host may use (default 1879048192-2147352575); the first one’s group may read layers',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;
