/**
 * Writes an initramfs: a cpio archive in the "newc" format, the only one the kernel takes
 * (Documentation/driver-api/early-userspace/ buffer-format.rst). Each entry is a header of 6 + 13 × 8 hex
 * digits, the name, the data, both padded to four bytes.
 *
 * The archive is not compressed: it holds a megabyte, and decompressing would cost a software-emulated guest
 * more than reading it.
 */

export interface CpioEntry {
  /** Path without a leading slash. */
  readonly path: string;
  /** File type and permission bits as in stat(2). */
  readonly mode: number;
  readonly content?: Uint8Array;
  /** Of a device node. */
  readonly device?: { readonly major: number; readonly minor: number };
}

export const CPIO_FILE = 0o100_000;
export const CPIO_DIRECTORY = 0o040_000;
export const CPIO_CHARACTER_DEVICE = 0o020_000;

const ALIGNMENT = 4;

/** The archive's bytes; the same entries give the same bytes. Folders must come before what is in them. */
export function cpioArchive(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.map((entry, index) => encodeEntry(entry, index + 1));
  return Buffer.concat([...parts, encodeEntry({ path: 'TRAILER!!!', mode: 0 }, 0)]);
}

function encodeEntry({ path, mode, content = new Uint8Array(), device }: CpioEntry, inode: number): Buffer {
  const name = Buffer.from(`${path}\0`);
  const links = 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0];
  fields.push(device?.major ?? 0, device?.minor ?? 0, name.length, 0);
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([padded(Buffer.concat([Buffer.from(header), name])), padded(content)]);
}

function padded(bytes: Uint8Array): Uint8Array {
  const missing = (ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}
