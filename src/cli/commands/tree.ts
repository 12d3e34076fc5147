/** `bough tree`: which sandbox was started from which snapshot, and which snapshot was branched from which sandbox. */

import type { Command } from 'commander';
import type { Sandbox, Snapshot } from '../../contract/index.js';
import { plainLine } from '../../base/table.js';
import { addClientOptions, clientFor, type Context } from '../context.js';
import { withExample } from '../example.js';
import { formatAge, formatMs } from '../format.js';
import { lineage, type LineageNode } from '../lineage.js';
import { addOutputOption, printAsData } from '../output.js';

export function registerTree(program: Command, context: Context): void {
  const command = program
    .command('tree')
    .description('Draw the lineage of snapshots and sandboxes: each stands below what it came from.');
  addOutputOption(addClientOptions(command)).action(async () => {
    const client = await clientFor(command, context);
    const [snapshots, sandboxes] = await Promise.all([client.snapshots.list(), client.sandboxes.list()]);
    const roots = lineage(snapshots, sandboxes);
    if (!printAsData(command, context, roots)) context.io.stdout(drawn(roots).join(''));
  });
  withExample(command, 'bough tree');
}

function drawn(nodes: readonly LineageNode[], indent = '', isTop = true): string[] {
  return nodes.flatMap((node, index) => {
    const isLast = index === nodes.length - 1;
    const [branch, below] = isTop ? ['', ''] : isLast ? ['└─ ', '   '] : ['├─ ', '│  '];
    return [`${indent}${branch}${plainLine(label(node))}\n`, ...drawn(node.children, indent + below, false)];
  });
}

function label(node: LineageNode): string {
  return 'snapshot' in node ? snapshotLabel(node.snapshot) : sandboxLabel(node.sandbox);
}

function snapshotLabel({ tag, status, pause_ms: pauseMs, created_at_unix: atUnix }: Snapshot): string {
  const pause = formatMs(pauseMs);
  const facts = [status, formatAge(atUnix), pause === undefined ? undefined : `paused ${pause}`];
  return `snapshot ${tag} (${facts.filter((fact) => fact !== undefined).join(', ')})`;
}

function sandboxLabel({ id, name, state, created_at_unix: atUnix }: Sandbox): string {
  const known = name === undefined ? id : `${name} ${id}`;
  return `sandbox ${known} (${[state, formatAge(atUnix)].filter((fact) => fact !== undefined).join(', ')})`;
}
