/** `bough sandbox rollback` and `bough sandbox undo`: go back in place; print the tag of the checkpoint that keeps the state of before. */

import type { Command } from 'commander';
import type { RolledBack } from '../../../contract/index.js';
import { nameArgument, sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { addOutputOption, printResult } from '../../output.js';
import { withProgress } from '../../progress.js';

interface RollbackOptions {
  keep: boolean;
  keepTag?: string;
}

export function registerRollback(parent: Command, context: Context): void {
  const command = parent
    .command('rollback')
    .description('Take a sandbox to a snapshot in place: id, name, URLs, policy and end stay.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument('<tag>', 'the snapshot, of whatever sandbox', nameArgument);
  addRollbackOptions(command).action((id: string, tag: string, options: RollbackOptions) =>
    rollBack(command, context, { id, tag, ...options }),
  );
  withExample(command, 'bough rollback $id winner\nbough rollback $id clean --no-keep');
}

export function registerUndo(parent: Command, context: Context): void {
  const command = parent
    .command('undo')
    .description('Take a sandbox back to its newest checkpoint; an undo of that goes forward again.')
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument);
  addRollbackOptions(command).action((id: string, options: RollbackOptions) =>
    rollBack(command, context, { id, ...options }),
  );
  withExample(command, 'bough undo $id');
}

function addRollbackOptions(command: Command): Command {
  command
    .option(
      '--keep-tag <tag>',
      'name of the checkpoint of the state of before (default: made up)',
      nameArgument,
    )
    .option('--no-keep', 'let the state of before go');
  return addOutputOption(addClientOptions(command));
}

async function rollBack(
  command: Command,
  context: Context,
  { id, tag, keep, keepTag }: RollbackOptions & { id: string; tag?: string },
): Promise<void> {
  const client = await clientFor(command, context);
  const params = { id };
  const done = await withProgress(context.io, `rolling back ${id}`, () =>
    client.transport.call('rollback', { params, body: { tag, keep, keep_tag: keepTag } }),
  );
  const { kept } = done;
  printResult(command, context, done, {
    lines: kept === undefined ? [] : [kept.tag],
    words: wordsOf(done),
  });
}

function wordsOf({ sandbox, kept }: RolledBack): string {
  const stands = `sandbox ${sandbox.id} stands at "${sandbox.snapshot_tag}"`;
  return kept === undefined ? stands : `${stands}; its state of before is checkpoint "${kept.tag}"`;
}
