/**
 * What is written down about a sandbox: enough for the next daemon to adopt it, or to clean up after it.
 *
 * `record.json` is replaced as a whole whenever something in it changes. It is there from when the guest is its own and before anybody is told of
 * the sandbox: without it, what was begun is removed by the next daemon.
 */
import { readFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { failpoint, writeFileAtomic } from '../../base/index.js';
import { networkPolicySchema } from '../../contract/index.js';
import {
  imageIdentitySchema,
  machineIdentitySchema,
  requestKeySchema,
  thinningSchema,
} from '../../store/index.js';
import { lifetimeSchema } from './lifetime.js';

/** Of the first, VMs had a port for their agents. */
const RECORD_VERSION = 2;

const diskRefSchema = z.object({
  id: z.string(),
  path: z.string(),
  format: z.enum(['raw', 'qcow2']),
  sha256: z.string().optional(),
});

const layerRefSchema = z.object({
  id: z.string(),
  path: z.string(),
  runs: z.array(z.tuple([z.number(), z.number()])),
  logicalBytes: z.number(),
  sha256: z.string().optional(),
});

const lineSchema = z.object({
  /** Id of the snapshot of the latest branch; what the pager knows that branch by. */
  since: z.string(),
  /** How many of the sandbox's layers that one stands on. */
  below: z.number(),
  /** The sandbox's links to what it stands on above those, bottom first, its own layer last. */
  layers: z.array(layerRefSchema),
});
export type Line = z.infer<typeof lineSchema>;

const scheduleSchema = z.object({ everySecs: z.number(), thinning: thinningSchema });
/** How often a checkpoint is taken by itself, and which of them stay. */
export type CheckpointSchedule = z.infer<typeof scheduleSchema>;

const recordSchema = z.object({
  version: z.int().min(1).max(RECORD_VERSION),
  id: z.string(),
  /** How often it was rolled back. Of several folders with a record of its id the one of the latest generation is the sandbox. */
  generation: z.number().optional(),
  snapshotTag: z.string(),
  createdAtUnix: z.number(),
  machine: machineIdentitySchema,
  image: imageIdentitySchema,
  /** Guest port of the agent, and the secret this sandbox alone knows. */
  agent: z.object({ guestPort: z.number(), secret: z.string() }),
  name: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  /** Of every program that is run in it. */
  env: z.record(z.string(), z.string()).optional(),
  memoryLimitMiB: z.number().optional(),
  /** What it may reach; without one it has no network, and cannot be given one. */
  network: networkPolicySchema.optional(),
  lifetime: lifetimeSchema.optional(),
  checkpoints: scheduleSchema.optional(),
  /** Noted now and then, not at every use. */
  lastUsedAtUnix: z.number().optional(),
  /** Its end has begun: it takes no calls and is removed once a snapshot of this tag is durable. */
  endTag: z.string().optional(),
  /** Id of the sandbox its snapshot was branched from. */
  parent: z.string().optional(),
  /** The request that asked for it, if that had an idempotency key. */
  requestKey: requestKeySchema.optional(),
  /** The latest requests with an idempotency key that have rolled it back, each with the tag of the state of before. */
  rollbacks: z.array(requestKeySchema.extend({ kept: z.string().optional() })).optional(),
  /** Its own links to the memory layers below its private pages, bottom first. */
  layers: z.array(layerRefSchema),
  /** Frozen disk files, bottom first, and the overlay its VM writes to. */
  disks: z.array(diskRefSchema),
  overlay: diskRefSchema,
  /** Block graph node of the overlay, and how many switches made the chain it tops since the VM started. */
  overlayNode: z.string(),
  switchCount: z.number(),
  branchCount: z.number(),
  /** What the next live branch goes on from; see branch/line.ts. */
  line: lineSchema.optional(),
  lastBranchMemoryPath: z.string().optional(),
  process: z
    .object({
      ...{ pid: z.number(), startTimeTicks: z.number() },
      /** Port on 127.0.0.1 that leads to the agent, where an earlier version started it; else that is a socket in its folder. */
      agentHostPort: z.number().optional(),
      /** Whom it runs as, if not as the daemon. */
      user: z
        .object({ uid: z.number(), readersGid: z.number(), confined: z.boolean().optional() })
        .optional(),
      /** It runs as the daemon, in namespaces of its own. */
      namespaced: z.boolean().optional(),
    })
    .optional(),
  /** Why it can no longer run, once that is known. */
  failure: z.string().optional(),
  /** The end of its console, when its guest ended by itself. */
  consoleTail: z.string().optional(),
});

export type SandboxRecord = z.infer<typeof recordSchema>;

/** Everything of a record but its version. */
export type SandboxFields = Omit<SandboxRecord, 'version'>;

export function newRecord(fields: SandboxFields): SandboxRecord {
  return { version: RECORD_VERSION, ...fields };
}

/** Replaces the record; it holds the agent's secret, so only its owner may read it. */
export async function writeRecord(path: string, record: SandboxRecord): Promise<void> {
  // Whoever does not wait for it is answered first.
  await setImmediate();
  await failpoint('record.changed');
  await writeFileAtomic(path, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  await failpoint('record.written');
}

/** A later version of bough wrote this record: this one must not touch the state directory. */
export class RecordTooNew extends Error {
  override readonly name = 'RecordTooNew';

  constructor(path: string, version: number) {
    super(`${path} has version ${version}, this bough knows up to ${RECORD_VERSION}: use the later bough`);
  }
}

/** Reads a record; throws RecordTooNew, or what the file system or the schema says. */
export async function readRecord(path: string): Promise<SandboxRecord> {
  const json: unknown = JSON.parse(await readFile(path, 'utf8'));
  const { data: stated } = z.object({ version: z.int() }).safeParse(json);
  if (stated !== undefined && stated.version > RECORD_VERSION) throw new RecordTooNew(path, stated.version);
  return recordSchema.parse(json);
}
