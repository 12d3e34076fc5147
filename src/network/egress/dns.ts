/**
 * The one question of a DNS message, and its answer. Pure.
 *
 * A guest's message goes no further than here: what is looked up, if anything, is the name by itself. Only
 * addresses of IPv4 are told; every other type of a name that exists is answered as empty, so no program waits.
 *
 * Not handled: several questions in a message (nobody asks so), EDNS (answers fit without), TCP.
 */
import { parseName } from '../name.js';

const HEADER_BYTES = 12;
const TYPE_A = 1;
const CLASS_IN = 1;
const TTL_SECS = 60;

export interface Question {
  readonly id: number;
  /** In its one form; undefined if it is no name that a host can have. */
  readonly name: string | undefined;
  readonly asksForAddress: boolean;
  /** As it was asked, to be repeated in the answer. */
  readonly bytes: Buffer;
}

/** What an answer says: an address, that the name exists without one, that it does not, or that asking failed. */
export type Answer = { readonly address: readonly number[] } | 'empty' | 'no such name' | 'failed';

/** Undefined for what is no query: it gets no answer. */
export function readQuestion(message: Buffer): Question | undefined {
  if (message.length < HEADER_BYTES + 5 || message.readUInt16BE(4) !== 1) return undefined;
  const isQuery = (message.readUInt8(2) & 0xf8) === 0;
  const read = isQuery ? readLabels(message) : undefined;
  if (read === undefined || message.length < read.end + 4) return undefined;
  const isInternet = message.readUInt16BE(read.end + 2) === CLASS_IN;
  const isName = isInternet && !read.labels.some((label) => label.includes('.'));
  return {
    id: message.readUInt16BE(0),
    name: isName ? parseName(read.labels.join('.')) : undefined,
    asksForAddress: message.readUInt16BE(read.end) === TYPE_A,
    bytes: message.subarray(HEADER_BYTES, read.end + 4),
  };
}

/** Labels up to the root; a question has nothing before it that a pointer could point to. */
function readLabels(message: Buffer): { labels: string[]; end: number } | undefined {
  const labels: string[] = [];
  for (let at = HEADER_BYTES; at < message.length && at < HEADER_BYTES + 255;) {
    const length = message.readUInt8(at);
    if (length === 0) return { labels, end: at + 1 };
    if (length > 63) return undefined;
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return undefined;
}

const RCODES = { empty: 0, failed: 2, 'no such name': 3 } as const;

export function writeAnswer(question: Question, answer: Answer): Buffer {
  const hasAddress = typeof answer === 'object';
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(question.id, 0);
  header.writeUInt16BE(0x8180 | (hasAddress ? 0 : RCODES[answer]), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(hasAddress ? 1 : 0, 6);
  if (!hasAddress) return Buffer.concat([header, question.bytes]);
  const record = [0xc0, HEADER_BYTES, 0, TYPE_A, 0, CLASS_IN, 0, 0, 0, TTL_SECS, 0, 4, ...answer.address];
  return Buffer.concat([header, question.bytes, Buffer.from(record)]);
}
