/**
 * Starting VMs: how many at once, whether there is memory for them, and what becomes of them when the host closes.
 *
 * Everything that starts a VM goes through here. Memory is asked for before anything is made, for the whole request; closing the
 * host aborts what is being started and waits until no trace of it is left.
 *
 * Invariant: a sandbox is listed only once it can be used, and those of one request that wants all or none appear together.
 */
import pLimit from 'p-limit';
import { abortReason, anyOf, unixSeconds, WorkSet } from '../../base/index.js';
import { BoughError } from '../../contract/index.js';
import type { Lease, Manifest } from '../../store/index.js';
import { ChildSizes, type Ticket } from './admission.js';
import { checkCompatible } from './compatible.js';
import type { HostContext } from '../host/context.js';
import { toCatalogue } from '../host/failures.js';
import type { Sandbox } from '../entity/sandbox.js';
import { spawnChild, type ChildOptions } from './spawn.js';

/** VMMs started at the same time: more only take turns on the processors. */
const CONCURRENT_STARTS = 4;
/** Children that are looked at to know what the next one needs: the youngest, at some 50 µs each. */
const MAX_LOOKED_AT = 64;
/** A child that was just started owns little yet: it is looked at from this age on. */
export const SETTLED_SECS = 10;
const ATTEMPT = { operation: 'start a child' };

/** What became of one child. */
export type SpawnOutcome =
  | { readonly sandbox: Sandbox; readonly error?: undefined }
  | { readonly sandbox?: undefined; readonly error: unknown };

/** Makes one child; `spawnChild` but for tests. */
export type SpawnChild = typeof spawnChild;

export class Starts {
  readonly #context: HostContext;
  readonly #spawnChild: SpawnChild;
  readonly #limit = pLimit(CONCURRENT_STARTS);
  readonly #stopping = new AbortController();
  readonly #underWay = new WorkSet();
  readonly #childSizes = new ChildSizes();
  /** One wait for all: on a host where one start follows the other, each would wait for ever. */
  #refilling: Promise<void> | undefined;

  constructor(context: HostContext, spawn: SpawnChild = spawnChild) {
    this.#context = context;
    this.#spawnChild = spawn;
  }

  /** Runs work that starts a VM; its signal is aborted when the host closes. Throws `shutting_down` from then on. */
  run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = this.#stopping;
    if (signal.aborted) return Promise.reject(new BoughError('shutting_down'));
    const working = work(signal);
    this.#underWay.add(working);
    if (this.#refilling === undefined) this.#refilling = this.#refillAfter();
    return working;
  }

  /** Those that wait for their VM go before those who have not asked yet. */
  async #refillAfter(): Promise<void> {
    await this.#underWay.settled();
    this.#refilling = undefined;
    this.#context.warmVmms?.refill();
  }

  /** Starts `count` children of one snapshot, all or none; none if `caller` is aborted. Throws BoughError, or what nobody foresaw. */
  all(tag: string, count: number, options: ChildOptions, caller?: AbortSignal): Promise<Sandbox[]> {
    return this.run((closing) => {
      const signal = anyOf(closing, caller);
      return this.#leased(tag, signal, async (lease) => {
        const tickets = await this.#context.admission.admit(this.#bytesEach(lease.manifest), count);
        const failure = new AbortController();
        const stop = AbortSignal.any([signal, failure.signal]);
        const outcomes = await Promise.all(
          tickets.map(async (ticket) => {
            const outcome = await this.#one(lease, ticket, options, stop);
            if (outcome.error !== undefined) failure.abort(outcome.error);
            return outcome;
          }),
        );
        const sandboxes = outcomes.flatMap(({ sandbox }) => sandbox ?? []);
        if (!stop.aborted) {
          for (const sandbox of sandboxes) this.#list(sandbox);
          return sandboxes;
        }
        await Promise.all(sandboxes.map((sandbox) => this.#context.sandboxes.remove(sandbox)));
        throw toCatalogue(stop.reason, ATTEMPT);
      });
    });
  }

  /** Starts up to `count` children of one snapshot; one outcome for each, in any mix. */
  each(tag: string, count: number, options: ChildOptions): Promise<SpawnOutcome[]> {
    return this.run((signal) =>
      this.#leased(tag, signal, async (lease) => {
        const { admission } = this.#context;
        const { tickets, refusal } = await admission.admitSome(this.#bytesEach(lease.manifest), count);
        const started = await Promise.all(
          tickets.map(async (ticket) => {
            const outcome = await this.#one(lease, ticket, options, signal);
            if (outcome.sandbox !== undefined) this.#list(outcome.sandbox);
            return outcome;
          }),
        );
        const refused = Array.from({ length: count - tickets.length }, () => ({ error: refusal }));
        return [...started, ...refused];
      }),
    );
  }

  /** Holds the snapshot, and room for one VM of it, for as long as `work` takes. Its signal fires when `caller` or the host gives up. */
  one<T>(
    tag: string,
    caller: AbortSignal,
    work: (lease: Lease, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.run((closing) => {
      const signal = AbortSignal.any([closing, caller]);
      return this.#leased(tag, signal, async (lease) => {
        const [ticket] = await this.#context.admission.admit(this.#bytesEach(lease.manifest), 1);
        try {
          return await this.#limit(() => {
            signal.throwIfAborted();
            return work(lease, signal);
          });
        } catch (error) {
          // What was given up fails in many ways.
          throw signal.aborted ? abortReason(signal) : error;
        } finally {
          ticket?.release();
        }
      });
    });
  }

  /** Aborts what is under way and resolves when nothing of it is left. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort(new BoughError('shutting_down'));
    await this.#underWay.settled();
  }

  #list(sandbox: Sandbox): void {
    const { id, snapshotTag, parent, name } = sandbox.record;
    this.#context.sandboxes.add(sandbox);
    this.#context.emit('sandbox.created', { id, snapshotTag, parent, name });
  }

  /** What a child of the snapshot is taken to need, by what those that run own. */
  #bytesEach({ id, tag, createdAtUnix, machine }: Manifest): number {
    const isChild = ({ record, state }: Sandbox): boolean =>
      // An older one is of a snapshot that had the tag before.
      state === 'running' &&
      record.snapshotTag === tag &&
      record.createdAtUnix >= createdAtUnix &&
      unixSeconds() - record.createdAtUnix >= SETTLED_SECS;
    const children = this.#context.sandboxes.list().filter(isChild).slice(-MAX_LOOKED_AT);
    const seen = children.map(ownedBytes).filter((bytes) => bytes > 0);
    return this.#childSizes.bytesFor(id, machine.memoryMiB, seen);
  }

  async #leased<T>(tag: string, signal: AbortSignal, work: (lease: Lease) => Promise<T>): Promise<T> {
    try {
      using lease = await this.#context.store.acquire(tag, 'a spawn under way', signal, (manifest) =>
        checkCompatible(this.#context, manifest),
      );
      return await work(lease);
    } catch (error) {
      throw toCatalogue(error, ATTEMPT);
    }
  }

  async #one(
    lease: Lease,
    ticket: Ticket,
    options: ChildOptions,
    signal: AbortSignal,
  ): Promise<SpawnOutcome> {
    try {
      return {
        sandbox: await this.#limit(() => {
          signal.throwIfAborted();
          return this.#spawnChild(this.#context, lease, options, signal);
        }),
      };
    } catch (cause) {
      if (!signal.aborted) {
        this.#context.emit('sandbox.not-started', { tag: lease.manifest.tag, err: cause });
      }
      return { error: toCatalogue(signal.aborted ? signal.reason : cause, ATTEMPT) };
    } finally {
      ticket.release();
    }
  }
}

/** One that ended just now owns nothing. */
function ownedBytes(child: Sandbox): number {
  try {
    return child.privateBytes();
  } catch {
    return 0;
  }
}
