/** A snapshot that no guest made: two memory layers, a disk of two files, on files of its own. */
import { createHash } from 'node:crypto';
import { mkdtemp, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { archiveOf, packSnapshot, type Keyring, type PackSource } from '../../src/hub/index.js';
import type { Run } from '../../src/store/index.js';

export const MADE_BYTES = 1 << 20;
const PAGE = 4096;

/** A disk with data at both ends, and a hole between. */
export function madeDisk(bytes = MADE_BYTES): Buffer {
  const disk = Buffer.alloc(bytes);
  disk.write('first block', 0);
  disk.write('last block', bytes - 512);
  return disk;
}

/** The header of a qcow2 file without data; `edit` makes it say something else. */
export function madeQcow2(edit: (header: Buffer) => void = () => undefined): Buffer {
  const file = Buffer.alloc(1 << 16);
  file.write('QFI\xfb', 0, 'latin1');
  file.writeUInt32BE(3, 4);
  file.writeUInt32BE(14, 20);
  file.writeBigUInt64BE(BigInt(MADE_BYTES), 24);
  file.writeUInt32BE(104, 100);
  edit(file);
  return file;
}

export interface Made {
  readonly tag?: string;
  readonly disks?: readonly { readonly bytes: Buffer; readonly format: 'raw' | 'qcow2' }[];
}

/** Writes the files into `dir`. */
export async function madeSnapshot(dir: string, { tag = 'made', disks }: Made = {}): Promise<PackSource> {
  const files = disks ?? [
    { bytes: madeDisk(), format: 'raw' },
    { bytes: madeQcow2(), format: 'qcow2' },
  ];
  const devices = Buffer.from('devices of made');
  await writeFile(join(dir, 'vmstate'), devices);
  const paths = files.map((_, index) => join(dir, `disk-${index}`));
  for (const [index, { bytes }] of files.entries()) await writeFile(paths[index] ?? '', bytes);
  return {
    ...{ tag, createdAtUnix: 1_700_000_000 },
    machine: {
      ...{ qemuVersion: '7.2.22', machineType: 'pc-i440fx-7.2', accel: 'tcg', cpuModel: 'max' },
      ...{ vcpus: 1, memoryMiB: MADE_BYTES >> 20, deviceLayout: 1 },
    },
    image: { name: 'python', digest: 'sha256:0' },
    agent: { secret: 'known elsewhere', guestPort: 7000 },
    vmstate: { path: join(dir, 'vmstate'), bytes: devices.length, sha256: sha256(devices) },
    memory: [await layer(dir, 'lower', { 0: 1, 5: 2 }), await layer(dir, 'upper', { 5: 3 })],
    disks: files.map(({ format }, index) => ({ path: paths[index] ?? '', format })),
  };
}

/** It as a file that goes to others; its parts stay in `dir`. */
export async function madeArchive(dir: string, made: Made = {}, signer?: Keyring['signer']): Promise<Buffer> {
  const source = await madeSnapshot(await mkdtemp(join(dir, 'made-')), made);
  return buffer(archiveOf(await packSnapshot(source, await mkdtemp(join(dir, 'layout-')), { signer })));
}

async function layer(
  dir: string,
  name: string,
  pages: Record<number, number>,
): Promise<PackSource['memory'][number]> {
  const path = join(dir, name);
  const file = await open(path, 'w');
  const hash = createHash('sha256');
  const runs: Run[] = [];
  await file.truncate(MADE_BYTES);
  for (const [index, value] of Object.entries(pages)) {
    const page = Buffer.alloc(PAGE, value);
    const place = Buffer.alloc(16);
    place.writeBigUInt64LE(BigInt(Number(index) * PAGE), 0);
    place.writeBigUInt64LE(BigInt(PAGE), 8);
    hash.update(place).update(page);
    await file.write(page, 0, PAGE, Number(index) * PAGE);
    runs.push([Number(index) * PAGE, PAGE]);
  }
  await file.close();
  return { path, logicalBytes: MADE_BYTES, runs, sha256: hash.digest('hex') };
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
