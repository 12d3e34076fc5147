/**
 * Which host port reaches the agent.
 *
 * The port is 0 in QEMU's arguments, so the kernel picks a free one and two starting VMs cannot race for it.
 * QMP has no query for the user network; the human monitor's `info usernet` lists it:
 *
 *     TCP[HOST_FORWARD]   8       127.0.0.1 46833       10.0.2.15  5000     0     0
 */
import type { QmpClient } from '../../qmp/index.js';

const FORWARD = /^\s*TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)\s/;

/** The port on 127.0.0.1 that QEMU forwards to the guest's `agentPort`; throws if there is none. */
export async function hostForwardPort(qmp: QmpClient, agentPort: number): Promise<number> {
  const table = await qmp.execute('human-monitor-command', { 'command-line': 'info usernet' });
  const port = parseForwardPort(table, agentPort);
  if (port === undefined) {
    throw new Error(`No port is forwarded to guest port ${agentPort}: QEMU lists ${JSON.stringify(table)}`);
  }
  return port;
}

/** The same from the text of `info usernet`; undefined if it lists no such forward. */
export function parseForwardPort(table: string, agentPort: number): number | undefined {
  for (const line of table.split('\n')) {
    const match = FORWARD.exec(line);
    if (match !== null && Number(match[2]) === agentPort) return Number(match[1]);
  }
  return undefined;
}
