/**
 * Named places at which a test makes this process fail: killed, refused, or slow, between two steps of
 * something that must survive it.
 *
 * A step says `await failpoint('area.step')` where it is over. Nothing is armed in normal life, and then that
 * costs one look at a boolean. Tests arm by a text, which a daemon takes from the environment variable
 * `BOUGH_FAILPOINTS`, or with a function:
 *
 *     name[:count]=action,…      such as  persist.renamed=abort,publish.sealed:2=errno:ENOSPC
 *
 *     abort          SIGKILL to this process
 *     error          throws FailpointError
 *     errno:CODE     throws what a system call would that fails with CODE
 *     delay:MS       waits
 *     short          lets a write write only half of what it was asked to (at a `shortened` place)
 *
 * It happens once, the `count`-th time the place is reached (default 1). Every place must have a test: an
 * architecture test compares the names found in src/ with those that are tested.
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { sleep } from './time.js';

/** What happens at an armed place; what it throws is thrown there. */
export type FailpointAction = () => unknown;

/** Thrown at a place armed with `error`. */
export class FailpointError extends Error {
  override readonly name = 'FailpointError';
  constructor(place: string) {
    super(`Failed on purpose at ${place}`);
  }
}

interface Armed {
  /** How often the place is still passed before it happens. */
  passesLeft: number;
  /** Absent for a short write. */
  readonly act?: FailpointAction;
}

const armedPlaces = new Map<string, Armed>();
const reachedPlaces: string[] = [];
let isAnyArmed = false;

/** A place where this process may fail on purpose. */
export function failpoint(name: string): Promise<void> | undefined {
  return isAnyArmed ? reach(name) : undefined;
}

/**
 * How many of `byteCount` bytes (at least 2) the next write may ask for: a place where writes may be short.
 */
export function shortened(name: string, byteCount: number): number {
  if (!isAnyArmed || !takeTurn(name)) return byteCount;
  return Math.max(1, byteCount >> 1);
}

/** Arms one place. */
export function armFailpoint(name: string, act: FailpointAction, count = 1): void {
  armedPlaces.set(name, { passesLeft: count - 1, act });
  isAnyArmed = true;
}

/**
 * Arms what the text says, see the header; an empty one arms nothing. Throws a TypeError that names the part
 * it does not understand.
 */
export function armFailpoints(text: string): void {
  for (const part of text.split(',').filter((each) => each !== '')) {
    const match = /^([a-z-]+\.[a-z-]+)(?::([1-9]\d{0,5}))?=(.+)$/.exec(part);
    if (match === null) throw new TypeError(`Not a failpoint: ${JSON.stringify(part)}`);
    const [, name = '', count = '1', action = ''] = match;
    if (action === 'short') {
      armedPlaces.set(name, { passesLeft: Number(count) - 1 });
      isAnyArmed = true;
    } else {
      armFailpoint(name, actionOf(name, action), Number(count));
    }
  }
}

/** Disarms everything and forgets what was reached. */
export function disarmFailpoints(): void {
  armedPlaces.clear();
  reachedPlaces.length = 0;
  isAnyArmed = false;
}

/** The armed places at which something has happened, in order. */
export const firedFailpoints = (): readonly string[] => reachedPlaces;

async function reach(name: string): Promise<void> {
  const act = takeTurn(name)?.act;
  if (act !== undefined) await act();
}

/** What is armed here, if it is its turn. */
function takeTurn(name: string): Armed | undefined {
  const armed = armedPlaces.get(name);
  if (armed === undefined) return undefined;
  if (armed.passesLeft > 0) {
    armed.passesLeft -= 1;
    return undefined;
  }
  armedPlaces.delete(name);
  reachedPlaces.push(name);
  return armed;
}

function actionOf(name: string, text: string): FailpointAction {
  if (text === 'abort') return abort;
  if (text === 'error') {
    return () => {
      throw new FailpointError(name);
    };
  }
  const delayMs = /^delay:(\d{1,6})$/.exec(text)?.[1];
  if (delayMs !== undefined) return () => sleep(Number(delayMs));
  const code = /^errno:(E[A-Z0-9]+)$/.exec(text)?.[1];
  const errno = (constants.errno as Readonly<Record<string, number>>)[code ?? ''];
  if (code === undefined || errno === undefined)
    throw new TypeError(`Not an action of a failpoint: ${JSON.stringify(text)}`);
  return () => {
    const asNode = { code: getSystemErrorName(-errno), errno: -errno, syscall: name };
    throw Object.assign(new Error(`${code}: on purpose at ${name}`), asNode);
  };
}

/** Never returns: the signal is on its way. */
function abort(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
}
