/** Snapshots as another host would have made them: the template under another tag, its manifest changed and signed again. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { MachineIdentity, Manifest } from '../../src/store/index.js';
import { TEMPLATE_TAG, type TestFolders } from './test-host.js';

/** Puts one into folders that no host has open. */
export async function foreignSnapshot(
  { stateDir }: TestFolders,
  tag: string,
  machine: Partial<MachineIdentity>,
  changeState: (vmstate: Buffer) => Buffer = (vmstate) => vmstate,
): Promise<void> {
  const folder = join(stateDir, 'snapshots', tag);
  await execa('cp', ['-al', join(stateDir, 'snapshots', TEMPLATE_TAG), folder]);
  const path = join(folder, 'manifest.json');
  const known = JSON.parse(await readFile(path, 'utf8')) as Pick<Manifest, 'machine' | 'vmstate'>;
  const state = changeState(await readFile(join(folder, known.vmstate.file)));
  const vmstate = { ...known.vmstate, bytes: state.length, sha256: sha256(state) };
  const id = randomBytes(12).toString('hex');
  const text = `${JSON.stringify({ ...known, id, tag, vmstate, machine: { ...known.machine, ...machine } })}\n`;
  const checksum = `${sha256(text)}  manifest.json\n`;
  // The files are links: write new ones, never into those of the template.
  for (const [name, content] of [
    ['manifest.json', text],
    ['manifest.sha256', checksum],
    [known.vmstate.file, state],
  ] as const) {
    await rm(join(folder, name));
    await writeFile(join(folder, name), content, { mode: 0o600 });
  }
}

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');
