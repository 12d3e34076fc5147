/**
 * Who changed what: a line of JSON for each call that may change something, once it has ended.
 *
 *   {"at":"…","who":"ci","call":"POST /v1/sandboxes/:id/branch","sandbox":"…","made":["…"],"status":201,"outcome":"answered","ms":41,"request":"…"}
 *
 * Bodies are not in it, nor is anything else that could be a secret. Callers that have not said who they are leave no line: they could fill
 * the file and so push out what others did.
 *
 * Invariant: it never keeps a call from being made. Lines that cannot be written are counted, told of once, and their number is the first thing
 * that is written when that is possible again. Not handled: a daemon that is killed says nothing of the calls under way.
 */
import { BoundedLog, compact, MiB } from '../base/index.js';
import type { BoughEvent, Emit, EventFacts } from '../contract/index.js';

const BOUNDS = { maxBytes: 16 * MiB, kept: 4 };

export class Audit {
  readonly #file: BoundedLog;
  readonly #emit: Emit;
  #lost = 0;
  #isClosed = false;

  constructor(path: string, emit: Emit, bounds = BOUNDS) {
    this.#file = new BoundedLog(path, bounds);
    this.#emit = emit;
  }

  /** Writes down what an event tells of, if it is such a call. */
  observe(event: BoughEvent): void {
    if (event.name !== 'call.answered' || !event.facts.mayChange || this.#isClosed) return;
    try {
      // After a failure the file may end in half a line.
      if (this.#lost > 0) this.#file.append(`\n${lineOf({ lost: this.#lost })}`);
      this.#tellRecovered();
      this.#file.append(lineOf(factsOf(event.facts)));
    } catch (err) {
      if (this.#lost === 0) this.#emit('audit.not-written', { err });
      this.#lost += 1;
    }
  }

  /** Idempotent. Connections that end after it are of calls that were told of. */
  close(): void {
    this.#isClosed = true;
    this.#file.close();
  }

  #tellRecovered(): void {
    if (this.#lost > 0) this.#emit('audit.written-again', { lost: this.#lost });
    this.#lost = 0;
  }
}

function factsOf(facts: EventFacts<'call.answered'>): object {
  const { principal, method, route, about, status, outcome, durationMs, requestId } = facts;
  return compact({
    ...{ who: principal, call: `${method} ${route}`, ...about },
    ...{ status, outcome, ms: Math.round(durationMs), request: requestId },
  });
}

const lineOf = (facts: object): string => `${JSON.stringify({ at: new Date().toISOString(), ...facts })}\n`;
