/** JSON lines of a stream. Empty ones only say that the other side is there. */

import type { EventGap, SandboxEvent } from '../contract/v1/events.js';
import type { ListLine } from '../contract/v1/files.js';
import type { WatchLine } from '../contract/v1/watch.js';

/**
 * A line of a network's log: a connection (`tcp`), its end (`closed`), a name that was refused (`dns`), a connection cut by a new policy
 * (`policy`), or a request that a secret was to be put into (`http`).
 *
 * @example
 * ```ts
 * const line: NetworkLogLine = { at: '2030-01-01T00:00:00.000Z', kind: 'dns', name: 'example.com', verdict: 'refused' };
 * console.log(line.kind, line.name); // dns example.com
 * ```
 */
export interface NetworkLogLine {
  /** When, as ISO 8601. */
  readonly at: string;
  /** What it tells of. */
  readonly kind: 'tcp' | 'dns' | 'closed' | 'policy' | 'http';
  /** The name that was asked for. */
  readonly name?: string;
  /** The address that was asked for, or the one that stands for the name in the guest. */
  readonly address?: string;
  /** The TCP port. */
  readonly port?: number;
  /** What became of it. */
  readonly verdict?: 'allowed' | 'refused';
  /** The rule of the policy that decided. */
  readonly rule?: string;
  /** Why, as a sentence. */
  readonly why?: string;
  /** The method of a request. */
  readonly method?: string;
  /** Names of the secrets that were put into it. */
  readonly secrets?: readonly string[];
  /** What the guest sent. */
  readonly bytes_up?: number;
  /** What it was sent. */
  readonly bytes_down?: number;
}

/** What a line of each stream is. */
export interface LineOf {
  /** Of events, of all sandboxes or of one. */
  readonly events: SandboxEvent | EventGap;
  /** Of the log of a network. */
  readonly networkLog: NetworkLogLine;
  /** Of what is in a folder. */
  readonly listFolder: ListLine;
  /** Of changes of files. */
  readonly watchFiles: WatchLine;
}

/** The lines of `chunks`, which are those of the stream called so. What is cut off at the end is no line. */
export async function* linesOf<K extends keyof LineOf>(
  stream: K,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<LineOf[K], void, undefined> {
  const decoder = new TextDecoder();
  let begun = '';
  for await (const chunk of chunks) {
    const [first = '', ...rest] = decoder.decode(chunk, { stream: true }).split('\n');
    begun += first;
    for (const next of rest) {
      if (begun.trim() !== '') yield lineOf(stream, begun);
      begun = next;
    }
  }
}

function lineOf<K extends keyof LineOf>(stream: K, text: string): LineOf[K];
function lineOf(_stream: keyof LineOf, text: string): unknown {
  const line: unknown = JSON.parse(text);
  return line;
}
