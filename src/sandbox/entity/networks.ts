/**
 * The networks of this host's sandboxes: what the egress knows of each, kept so that it can be told again.
 *
 *   open ─▶ at the egress ─▶ VMM started with the gate, sealed ─▶ guest runs ─▶ forget
 *             └─ the egress ends ─▶ started again, told everything (`restore`) ─▶ the gates find it by themselves
 *
 * Invariant: no guest runs behind a gate that has not said that its VMM can make no socket by itself.
 */
import { join } from 'node:path';
import { monotonicMs, sleep } from '../../base/index.js';
import {
  BoughError,
  networkPolicySchema,
  type Emit,
  type Network,
  type NetworkCheck,
  type NetworkPolicy,
  type NetworkVerdict,
} from '../../contract/index.js';
import {
  EgressClient,
  EgressRefused,
  EgressUnavailable,
  ownAddresses,
  Policy,
  PolicyRefused,
  readNames,
  writeNames,
  type Counts,
  type NameEntry,
  type Presets,
  type SandboxAtEgress,
} from '../../network/index.js';
import type { SandboxPaths, Tiers } from './paths.js';
import type { Secrets } from './secrets.js';

const SEALED_DEADLINE_MS = 10_000;
const SEALED_POLL_MS = 5;
const RESTORE_RETRY_MS = 1_000;
export const NO_NETWORK: NetworkPolicy = { mode: 'none', rules: [], presets: [], max_connections: 1 };
const NOTHING_YET = networkPolicySchema.parse({ mode: 'off' });

/** A network as a snapshot has it, for its children. */
export interface SnapshotNetwork {
  readonly policy: NetworkPolicy;
  readonly names: readonly NameEntry[];
}

/** What a VMM needs to be behind the gate. */
export interface Gate {
  readonly socketPath: string;
}

export interface NetworksOptions {
  readonly tiers: Tiers;
  readonly presets: Presets;
  readonly dnsServers?: readonly string[] | undefined;
  readonly secrets: Pick<Secrets, 'folder' | 'require'>;
  /** Whom the egress trusts, in place of the host's own bundle. */
  readonly trustFile?: string | undefined;
  /** A sandbox of which nothing is said gets a gate that refuses all, and can be given a policy later. */
  readonly isOffByDefault?: boolean;
  readonly emit: Emit;
}

interface AtEgress {
  readonly counts: Counts;
  readonly isSealed: boolean;
}

export class Networks {
  readonly #options: NetworksOptions;
  readonly #egress: EgressClient;
  readonly #known = new Map<string, SandboxAtEgress>();
  readonly #closing = new AbortController();
  #restoring: Promise<void> | undefined;

  constructor(options: NetworksOptions) {
    const { tiers, dnsServers } = options;
    this.#options = options;
    this.#egress = new EgressClient({
      socketPath: join(tiers.hotDir, 'egress'),
      outputPath: join(tiers.stateDir, 'egress.log'),
      dnsServers,
      onLost: (err) => {
        if (this.#known.size === 0) return;
        options.emit('egress.lost', { err, sandboxes: this.#known.size });
        void this.restore();
      },
    });
  }

  /**
   * The policy to enforce, given what was said of it; undefined for no network at all. Throws `invalid_request` for one that can not
   * mean what it says, `secret_not_found`.
   */
  checked(said: NetworkPolicy | undefined, field = 'network.'): NetworkPolicy | undefined {
    const policy = said ?? (this.#options.isOffByDefault === true ? NOTHING_YET : NO_NETWORK);
    this.#compile(policy, field);
    this.#options.secrets.require(policy.secrets ?? []);
    return policy.mode === 'none' ? undefined : policy;
  }

  /** Makes the egress expect the sandbox's gate. Throws `egress_unavailable`. */
  async open(paths: SandboxPaths, policy: NetworkPolicy, names: readonly NameEntry[]): Promise<Gate> {
    await writeNames(namesPath(paths), names);
    this.adopt(paths, policy);
    await this.#tell(paths.id);
    return { socketPath: gateSocket(paths) };
  }

  /** Takes note of a sandbox that runs already; `restore` tells the egress. */
  adopt(paths: SandboxPaths, policy: NetworkPolicy): void {
    this.#known.set(paths.id, {
      sandbox: paths.id,
      socketPath: gateSocket(paths),
      logPath: networkLogPath(paths),
      namesPath: namesPath(paths),
      policy,
      presets: this.#options.presets,
    });
  }

  /** Waits for the gate's word that its VMM can make no socket by itself. Throws `vmm_failed`, `egress_unavailable`. */
  async requireSealed(id: string): Promise<void> {
    const giveUpAtMs = monotonicMs() + SEALED_DEADLINE_MS;
    while (!((await this.#get(id))?.isSealed ?? false)) {
      if (monotonicMs() > giveUpAtMs) {
        const problem = 'its gate has not said that it can reach nothing by itself: see `bough doctor`';
        throw new BoughError('vmm_failed', { operation: 'start a virtual machine with a network', problem });
      }
      await sleep(SEALED_POLL_MS);
    }
  }

  /** In force when this resolves; after a failure it may be, and will be when the egress is back. Throws `egress_unavailable`. */
  async replace(paths: SandboxPaths, policy: NetworkPolicy): Promise<void> {
    this.adopt(paths, policy);
    await this.#tell(paths.id);
  }

  /** Throws `egress_unavailable`. */
  async view(id: string, policy: NetworkPolicy): Promise<Network> {
    const counts = (await this.#get(id))?.counts;
    return {
      policy,
      open: counts?.open ?? 0,
      connections: counts?.connections ?? 0,
      refused: counts?.refused ?? 0,
      queries: counts?.queries ?? 0,
      bytes_up: counts?.bytesUp ?? 0,
      bytes_down: counts?.bytesDown ?? 0,
    };
  }

  /** Throws `invalid_request` for presets that the host does not have any more. */
  check(policy: NetworkPolicy, { host, port }: NetworkCheck): NetworkVerdict {
    return this.#compile(policy).check(host, port, ownAddresses());
  }

  /** As a child of it begins; undefined where there is none. */
  forChild(paths: SandboxPaths, policy: NetworkPolicy | undefined): SnapshotNetwork | undefined {
    return policy && { policy, names: readNames(namesPath(paths)) };
  }

  /** Cuts what the sandbox has open. Never fails: an egress that cannot be told now is told when it is back. */
  async forget(id: string): Promise<void> {
    if (!this.#known.delete(id)) return;
    await this.#egress.askIfThere({ remove: id }).catch(() => undefined);
  }

  /** Makes the egress, if there is one, read the secrets anew. Throws `egress_unavailable`. */
  async secretsChanged(): Promise<void> {
    await this.#restoring;
    await available(this.#egress.askIfThere({ secrets: this.#secretsFolder() }));
  }

  /** The certificate that guests have to trust whose requests are given secrets. Throws `egress_unavailable`. */
  async certificate(): Promise<string> {
    return (await available(this.#egress.ask({ secrets: this.#secretsFolder() }))) as string;
  }

  /** Tells the egress of all that is known, and to forget the rest. What fails is tried again in the background. */
  async restore(): Promise<void> {
    if (this.#known.size === 0) {
      await this.#egress.askIfThere({ keep: [] }).catch(() => undefined);
      return;
    }
    this.#restoring ??= this.#restore().finally(() => (this.#restoring = undefined));
    await this.#restoring;
  }

  async #restore(): Promise<void> {
    try {
      await this.#egress.ask({ keep: [...this.#known.keys()] });
      const refusals: unknown[] = [];
      for (const id of [...this.#known.keys()])
        await this.#put(id).catch((error: unknown) => refusals.push(refusalOf(error)));
      // What is wrong with one sandbox's is no reason to keep the others from theirs.
      if (refusals.length > 0) throw refusals[0];
      this.#options.emit('egress.restored', { sandboxes: this.#known.size });
    } catch (err) {
      if (this.#closing.signal.aborted) return;
      this.#options.emit('egress.not-restored', { err });
      setTimeout(() => void this.restore(), RESTORE_RETRY_MS).unref();
    }
  }

  /** Lets go of the egress, which goes on for the sandboxes that run. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#egress.close();
  }

  #compile(policy: NetworkPolicy, field = ''): Policy {
    try {
      return Policy.compile(policy, this.#options.presets);
    } catch (error) {
      if (!(error instanceof PolicyRefused)) throw error;
      // As every other field that is wrong.
      const path = error.path.replaceAll(/\[(\d+)\]/g, '.$1');
      throw new BoughError(
        'invalid_request',
        { field: `${field}${path}`, problem: error.problem },
        { cause: error },
      );
    }
  }

  async #tell(id: string): Promise<void> {
    await this.#restoring;
    await available(this.#put(id));
  }

  async #get(id: string): Promise<AtEgress | undefined> {
    await this.#restoring;
    return (await available(this.#egress.ask({ get: id }))) as AtEgress | undefined;
  }

  /** Tells what is known when it is sent: of two changes at once the later one is in force. */
  async #put(id: string): Promise<void> {
    if (this.#known.get(id)?.policy.secrets !== undefined)
      await this.#egress.ask({ secrets: this.#secretsFolder() });
    const put = this.#known.get(id);
    if (put !== undefined) await this.#egress.ask({ put });
  }

  #secretsFolder(): object {
    const { secrets, trustFile } = this.#options;
    return { folder: secrets.folder, trustFile };
  }
}

const gateSocket = ({ hotDir }: SandboxPaths): string => join(hotDir, 'gate');
const namesPath = ({ stateDir }: SandboxPaths): string => join(stateDir, 'network-names');
/** Lines of what became of a sandbox's connections. */
export const networkLogPath = ({ stateDir }: SandboxPaths): string => join(stateDir, 'network.log');

/** Throws what is no word of an egress that answers. */
function refusalOf(error: unknown): EgressRefused {
  if (error instanceof EgressRefused) return error;
  throw error;
}

async function available<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof EgressUnavailable || error instanceof EgressRefused)) throw error;
    throw new BoughError('egress_unavailable', { problem: error.message }, { cause: error });
  }
}
