/** Options that several commands share: when sandboxes end and how long snapshots stay. */

import { Option, type Command } from 'commander';
import type { LifetimeRequest, OnEnd, RetentionRequest } from '../contract/index.js';
import { duration, nameArgument, wholeNumber } from './arguments.js';

export interface LifetimeOptions {
  timeout?: number;
  idleTimeout?: number;
  onEnd?: OnEnd;
  onEndTag?: string;
}

export interface RetentionOptions {
  expires?: number;
  keepLast?: number;
}

const onEndOption = (): Option =>
  new Option('--on-end <what>', 'what happens at the end (default kill)').choices(['kill', 'snapshot']);

/** Options of commands that start sandboxes. */
export function addLifetimeOptions(command: Command): Command {
  return addEndOptions(
    command
      .option('--timeout <duration>', 'end each after so long, such as 1h30m', duration)
      .option('--idle-timeout <duration>', 'end each after so long without use, such as 10m', duration),
  );
}

/** Options that say how a sandbox ends. */
export function addEndOptions(command: Command): Command {
  return command
    .addOption(onEndOption())
    .option('--on-end-tag <tag>', 'name of the snapshot taken at the end (default: made up)', nameArgument);
}

/** The request's part of `addLifetimeOptions`. */
export function lifetimeRequest({ timeout, idleTimeout, onEnd, onEndTag }: LifetimeOptions): LifetimeRequest {
  return { timeout_secs: timeout, idle_timeout_secs: idleTimeout, on_end: onEnd, on_end_tag: onEndTag };
}

/** The option of commands that make snapshots. */
export function addExpiryOption(command: Command): Command {
  return command.option('--expires <duration>', 'remove the snapshot after so long, such as 7d', duration);
}

/** Options of commands that branch. */
export function addRetentionOptions(command: Command): Command {
  return addExpiryOption(command).option(
    '--keep-last <n>',
    'of the snapshots of this sandbox made with this option, keep the newest n',
    wholeNumber(1, 10_000),
  );
}

/** The request's part of `addRetentionOptions`. */
export function retentionRequest({ expires, keepLast }: RetentionOptions): RetentionRequest {
  return { expires_in_secs: expires, keep_last: keepLast };
}
