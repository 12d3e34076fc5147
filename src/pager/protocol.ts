/**
 * What crosses the pager's control socket: lines of tab-separated fields. Twin of native/pager/protocol.h,
 * which says what each request does and when each answer comes.
 *
 * Invariant: a value that would break a line (tab, newline, NUL) is refused here, before anything is sent.
 */

/** The version this client speaks; `hello` tells the library's. */
export const PAGER_PROTOCOL_VERSION = 2;

/**
 * The environment of a VMM with a pager in it: where the pager listens, and the QMP socket that is its own.
 */
export const PAGER_ENV_SOCKET = 'BOUGH_PAGER_SOCKET';
export const PAGER_ENV_QMP = 'BOUGH_PAGER_QMP';
/** Where the VMM has no privileges: the number of an open descriptor of /dev/userfaultfd. */
export const PAGER_ENV_USERFAULTFD = 'BOUGH_PAGER_USERFAULTFD';

/** One line: its first word, then its fields. A key may come more than once (`layer`). */
export interface PagerMessage {
  readonly word: string;
  readonly fields: ReadonlyMap<string, string>;
}

/**
 * Builds a request line; fields that are undefined are left out. Throws a TypeError on a value no line can
 * hold.
 */
export function formatRequest(
  command: string,
  fields: readonly (readonly [key: string, value: string | number | undefined])[],
): string {
  const parts = fields.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]));
  const bad = parts.find((part) => /[\t\n\0]/.test(part));
  if (bad !== undefined) throw new TypeError(`The pager's protocol cannot carry ${JSON.stringify(bad)}`);
  return `${[command, ...parts].join('\t')}\n`;
}

/** Parses an answer line; what is not `key=value` is passed over. */
export function parseAnswer(line: string): PagerMessage {
  const [word = '', ...parts] = line.split('\t');
  const fields = new Map<string, string>();
  for (const part of parts) {
    const equals = part.indexOf('=');
    if (equals > 0) fields.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return { word, fields };
}

/** `[offsetBytes, lengthBytes]` of a stretch of a layer that holds data. */
export type PagerRun = readonly [offsetBytes: number, lengthBytes: number];

/** Parses `offset:length,offset:length,...` in hexadecimal; empty text is no runs. */
export function parseRuns(text: string): PagerRun[] {
  if (text === '') return [];
  return text.split(',').map((run) => {
    const match = /^([0-9a-f]{1,13}):([0-9a-f]{1,13})$/.exec(run);
    if (match === null) throw new SyntaxError(`Not a run of a layer: ${JSON.stringify(run.slice(0, 40))}`);
    return [Number.parseInt(match[1] ?? '', 16), Number.parseInt(match[2] ?? '', 16)];
  });
}
