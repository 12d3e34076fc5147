/**
 * Frames between a gate and the egress. The twin, with what each is for, is native/gate/protocol.h; the tests of
 * both read protocol-vectors.txt.
 */

export const PROTOCOL_VERSION = 1;
export const FrameType = { hello: 1, query: 2, reply: 3, end: 4, connect: 5 } as const;

export const ACCEPTED = Buffer.from([0]);
export const REFUSED = Buffer.from([1]);
const HELLO_SEALED = 1;
/** Bytes of an IPv4 address and a port. */
export const ADDRESS_BYTES = 6;

const HEADER_BYTES = 8;
const MAX_PAYLOAD_BYTES = ADDRESS_BYTES + 4096;

export interface Frame {
  readonly type: number;
  readonly seq: number;
  readonly payload: Buffer;
}

/** The peer sent what is no frame, or one that has no place there. */
export class GateProtocolError extends Error {
  override readonly name = 'GateProtocolError';
}

export function writeFrame({ type, seq, payload }: Frame): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(type, 0);
  header.writeUInt8(PROTOCOL_VERSION, 1);
  header.writeUInt16BE(payload.length, 2);
  header.writeUInt32BE(seq, 4);
  return Buffer.concat([header, payload]);
}

/** Cuts bytes into frames; keeps no more than one that is not all there. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** What follows the frames taken so far. */
  get rest(): Buffer {
    return this.#rest;
  }

  push(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /** The next frame, undefined until it is all there. Throws GateProtocolError for what is none. */
  next(): Frame | undefined {
    const bytes = this.#rest;
    if (bytes.length < HEADER_BYTES) return undefined;
    const length = bytes.readUInt16BE(2);
    if (bytes[1] !== PROTOCOL_VERSION) throw new GateProtocolError('Another version of the protocol');
    if (length > MAX_PAYLOAD_BYTES) throw new GateProtocolError(`A frame of ${length} bytes`);
    if (bytes.length < HEADER_BYTES + length) return undefined;
    this.#rest = bytes.subarray(HEADER_BYTES + length);
    const payload = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
    return { type: bytes.readUInt8(0), seq: bytes.readUInt32BE(4), payload };
  }
}

/** Whether a gate that has just connected says that its process can make no socket by itself; undefined until it has said all. */
export function readSeal(said: Buffer): boolean | undefined {
  const reader = new FrameReader();
  reader.push(said);
  const hello = reader.next();
  if (hello === undefined) return undefined;
  return hello.type === FrameType.hello && hello.payload.length === 4 && isSealed(hello);
}

/** What the flags of a HELLO say. */
export function isSealed({ payload }: Frame): boolean {
  return (payload.readUInt32BE(0) & HELLO_SEALED) !== 0;
}
