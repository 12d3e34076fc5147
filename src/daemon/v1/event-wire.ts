/** Which events of the table clients are told of, and how they look then. */
import { compact, messageOf } from '../../base/index.js';
import type { BoughEvent, EventGap, SandboxEvent } from '../../contract/index.js';

type WithoutId<T> = T extends unknown ? Omit<T, 'id' | 'at_unix_ms'> : never;

/** What clients are told, but when and under which id. */
export type ToldEvent = WithoutId<SandboxEvent>;

/** Of a reason, which a guest or a file system may have made as long as it likes. */
const MAX_CHARACTERS = 1024;
const short = (text: string): string => text.slice(0, MAX_CHARACTERS);

/** None for what is no client's concern. */
export function toldOf(event: BoughEvent): readonly ToldEvent[] {
  const told = ofSandbox(event);
  if (told === undefined) return [];
  return told.event === 'created' ? [told, { event: 'running', sandbox: told.sandbox }] : [told];
}

function ofSandbox({ name, facts }: BoughEvent): ToldEvent | undefined {
  switch (name) {
    case 'sandbox.created': {
      const { id: sandbox, snapshotTag: snapshot_tag, parent, name: given } = facts;
      return { event: 'created', sandbox, snapshot_tag, ...compact({ parent, name: given }) };
    }
    case 'sandbox.resumed':
      return { event: 'running', sandbox: facts.id };
    case 'sandbox.answered':
      return facts.state === 'running' ? { event: 'running', sandbox: facts.id } : undefined;
    case 'sandbox.paused':
      return { event: 'paused', sandbox: facts.id };
    case 'sandbox.branched': {
      const { id: sandbox, tag: snapshot_tag, mode, pauseMs: pause_ms } = facts;
      return { event: 'branched', sandbox, snapshot_tag, mode, ...compact({ pause_ms }) };
    }
    case 'sandbox.rolled-back': {
      const { id: sandbox, tag: snapshot_tag, kept: kept_tag } = facts;
      return { event: 'rolled_back', sandbox, snapshot_tag, ...compact({ kept_tag }) };
    }
    case 'sandbox.stalled':
      return warned(facts.id, facts.warning);
    case 'sandbox.unresponsive':
      return warned(facts.id, `Its VMM does not answer: ${messageOf(facts.err)}`);
    case 'sandbox.not-ended':
      return warned(facts.id, `Its end has come (${facts.why}), but it is kept: ${messageOf(facts.err)}`);
    case 'sandbox.no-checkpoint': {
      const again = `it is tried again in ${Math.ceil(facts.retryMs / 1000)} s`;
      return warned(facts.id, `A checkpoint was not taken, ${again}: ${messageOf(facts.err)}`);
    }
    case 'sandbox.failed':
      return { event: 'failed', sandbox: facts.id, reason: short(facts.reason) };
    case 'sandbox.removed':
      return { event: 'ended', sandbox: facts.id, reason: 'it was removed' };
    case 'sandbox.ended': {
      const { id: sandbox, why, snapshot: snapshot_tag } = facts;
      return { event: 'ended', sandbox, reason: short(why), ...compact({ snapshot_tag }) };
    }
    default:
      return undefined;
  }
}

function warned(sandbox: string, warning: string): ToldEvent {
  return { event: 'warned', sandbox, warning: short(warning) };
}

/** How one entry of a stream is written, and what is written when there is none. */
export interface EventFormat {
  readonly entry: (event: SandboxEvent | EventGap) => string;
  readonly keepAlive: string;
}

export const asLines: EventFormat = {
  entry: (event) => `${JSON.stringify(event)}\n`,
  keepAlive: '\n',
};

export const asServerSent: EventFormat = {
  entry: (event) => `id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`,
  keepAlive: ': nothing new\n\n',
};
