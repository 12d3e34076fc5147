/**
 * The one form of tar that a snapshot travels in: regular files, each under the name and at the place where it is expected.
 *
 * Who reads knows which member comes next. It must have the very header that this program would write for its name and size, so that
 * nothing else that tar can say (links, other owners, longer names, a member twice, one too many) ever has a meaning here.
 *
 * Not handled: archives of the same files that another program made.
 */
import { BadSnapshotArchive } from './errors.js';

const BLOCK_BYTES = 512;
/** What eleven octal digits hold. */
const MAX_MEMBER_BYTES = 8 ** 11 - 1;

/** Two blocks of zeros. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK_BYTES);

/** The header of a member. */
export function memberHeader(name: string, sizeBytes: number): Buffer {
  if (name.length > 100 || sizeBytes > MAX_MEMBER_BYTES)
    throw new RangeError(`Not a member: ${name} of ${sizeBytes} bytes`);
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0, 'latin1');
  header.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'latin1');
  header.write(`${octal(sizeBytes, 11)}\0${octal(0, 11)}\0`, 124, 'latin1');
  header.write('        0', 148, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)}\0 `, 148, 'latin1');
  return header;
}

/** What fills the last block of a member. */
export const paddingAfter = (sizeBytes: number): Buffer =>
  Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);

/** All that a member of that size takes. */
export const memberBytes = (sizeBytes: number): number =>
  BLOCK_BYTES + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');

/** How large a member may be, or is. */
export type MemberSize = { readonly maxBytes: number } | { readonly bytes: number };

/** Reads an archive from front to end, as it comes. */
export class ArchiveReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  /** What was read while members were kept: those in front, which say what the others are. */
  readonly kept: { readonly name: string; readonly bytes: Buffer }[] = [];
  keepsMembers = true;
  #rest: Uint8Array = Buffer.alloc(0);

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]();
  }

  /** The next member, which must be this one. Throws BadSnapshotArchive. */
  async member(name: string, size: MemberSize): Promise<Buffer> {
    const header = await this.#read(BLOCK_BYTES, name);
    const sizeBytes = Number.parseInt(/^[0-7]{11}/.exec(header.toString('latin1', 124, 135))?.[0] ?? '', 8);
    if (!Number.isSafeInteger(sizeBytes) || !memberHeader(name, sizeBytes).equals(header))
      throw new BadSnapshotArchive(`where ${name} should be, there is ${described(header)}`);
    const isRight = 'bytes' in size ? sizeBytes === size.bytes : sizeBytes <= size.maxBytes;
    if (!isRight) {
      const wanted = 'bytes' in size ? String(size.bytes) : `at most ${size.maxBytes}`;
      throw new BadSnapshotArchive(`${name} has ${sizeBytes} bytes, not ${wanted}`);
    }
    const bytes = await this.#read(sizeBytes, name);
    if ((await this.#read(paddingAfter(sizeBytes).length, name)).some((byte) => byte !== 0))
      throw new BadSnapshotArchive(`something is hidden behind ${name}`);
    if (this.keepsMembers) this.kept.push({ name, bytes });
    return bytes;
  }

  /** Nothing may come any more. */
  async end(): Promise<void> {
    const end = await this.#read(END_OF_ARCHIVE.length, 'the end');
    if (!end.equals(END_OF_ARCHIVE))
      throw new BadSnapshotArchive(`where it should end, there is ${described(end)}`);
    if ((await this.#more()).length > 0) throw new BadSnapshotArchive('something follows its end');
  }

  /** Whatever comes. */
  async skip(): Promise<void> {
    do this.#rest = Buffer.alloc(0);
    while ((await this.#more()).length > 0);
  }

  async #read(byteCount: number, what: string): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(byteCount);
    for (let have = 0; have < byteCount;) {
      const piece = await this.#more();
      if (piece.length === 0) throw new BadSnapshotArchive(`it ends within or before ${what}`);
      const taken = piece.subarray(0, byteCount - have);
      bytes.set(taken, have);
      have += taken.length;
      this.#rest = piece.subarray(taken.length);
    }
    return bytes;
  }

  /** What has come and was not read; nothing at the end. */
  async #more(): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const next = await this.#pieces.next();
      if (next.done === true) break;
      this.#rest = next.value;
    }
    return this.#rest;
  }
}

/** A header in words that are safe to show. */
function described(header: Buffer): string {
  if (header.every((byte) => byte === 0)) return 'the end of the archive';
  if (header.toString('latin1', 257, 262) !== 'ustar') return 'no member of an archive';
  const name = header.toString('latin1', 0, 100).replace(/\0.*$/s, '');
  return `a member named ${JSON.stringify(name.slice(0, 80))} that bough did not write there`;
}
