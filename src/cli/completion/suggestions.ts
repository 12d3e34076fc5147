/**
 * What could stand where the cursor is, from commander's own tree of commands.
 *
 * What a word means is said by its placeholder: `<sandbox>` and `<id>` are sandboxes, `<snapshot>` and `<tag>` of an argument snapshots. Words
 * after `--`, and behind the name of a program in a guest, are that program's, about which nothing is known here.
 */

import type { Argument, Command, Option } from 'commander';
import { ProgramCommand } from '../program-command.js';

export interface Suggestion {
  readonly word: string;
  readonly about: string;
}

/** What the daemon or this host knows the names of. */
export type ValueKind = 'sandbox' | 'snapshot' | 'image';

/** Names of that kind; none where nobody can be asked. */
export type ValuesOf = (kind: ValueKind) => Promise<readonly Suggestion[]>;

/** The shell is to complete names of files. */
const FILES: Suggestion = { word: ':files', about: '' };

/** Suggestions for the last of `words`, all that stand behind the program's name. */
export async function suggestions(
  program: Command,
  words: readonly string[],
  valuesOf: ValuesOf,
): Promise<readonly Suggestion[]> {
  const { before, current } = splitAssignment(words);
  const place = placeAfter(program, before);
  if (place === undefined) return [];
  const found = await candidates(program, place, { current, valuesOf });
  return found.filter(({ word }) => word === FILES.word || word.startsWith(current));
}

/** Shells cut `--option=value` in three, or leave it whole. */
function splitAssignment(words: readonly string[]): { before: readonly string[]; current: string } {
  const current = words.at(-1) ?? '';
  const whole = /^(--[^=]+)=(.*)$/s.exec(current);
  if (whole !== null) return { before: [...words.slice(0, -1), whole[1] ?? ''], current: whole[2] ?? '' };
  const rest = words.slice(0, -1);
  if (current === '=') return { before: rest, current: '' };
  return {
    before: rest.filter((word, index) => word !== '=' || !rest[index - 1]?.startsWith('--')),
    current,
  };
}

/** Where the cursor is: within which command, behind how many of its arguments, and behind which option that wants a value. */
interface Place {
  readonly command: Command;
  readonly options: readonly string[];
  readonly argumentCount: number;
  readonly pending: Option | undefined;
}

function placeAfter(program: Command, words: readonly string[]): Place | undefined {
  let place: Place = { command: program, options: [], argumentCount: 0, pending: undefined };
  for (const word of words) {
    if (place.pending !== undefined) place = { ...place, pending: undefined };
    else if (word === '--') return undefined;
    else if (word.startsWith('-')) place = behindOption(program, place, word);
    else place = behindWord(place, word);
  }
  return isBehindProgram(place) ? undefined : place;
}

function isBehindProgram({ command, argumentCount }: Place): boolean {
  return command instanceof ProgramCommand && argumentCount > 1;
}

function behindOption(program: Command, place: Place, word: string): Place {
  const option = optionsOf(program, place.command).find(({ short, long }) => word === short || word === long);
  const pending = option?.required === true ? option : undefined;
  return { ...place, options: [...place.options, word], pending };
}

function behindWord(place: Place, word: string): Place {
  const inner = place.command.commands.find((each) => each.name() === word);
  return inner === undefined
    ? { ...place, argumentCount: place.argumentCount + 1 }
    : { ...place, command: inner };
}

async function candidates(
  program: Command,
  { command, options, argumentCount, pending }: Place,
  { current, valuesOf }: { readonly current: string; readonly valuesOf: ValuesOf },
): Promise<readonly Suggestion[]> {
  if (pending !== undefined) return valuesFor(pending.argChoices, placeholderOf(pending), valuesOf);
  if (current.startsWith('-')) return optionsOf(program, command).flatMap(optionSuggestions);
  if (command.commands.length > 0) return commandSuggestions(command);
  const argument = argumentAt(command, argumentCount);
  if (argument === undefined) return [];
  return valuesFor(argument.argChoices, meaningOf(argument, options), valuesOf);
}

function optionsOf(program: Command, command: Command): readonly Option[] {
  const own = command.createHelp().visibleOptions(command);
  if (command === program) return own;
  const known = new Set(own.map(({ long }) => long));
  const before = command.commands.length > 0 ? program.options : [];
  return [...own, ...before.filter(({ long }) => !known.has(long))];
}

function optionSuggestions({ long, description }: Option): Suggestion[] {
  return long === undefined ? [] : [{ word: long, about: description }];
}

function commandSuggestions(command: Command): Suggestion[] {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((inner) => ({ word: inner.name(), about: inner.description() }));
}

function argumentAt({ registeredArguments }: Command, index: number): Argument | undefined {
  const last = registeredArguments.at(-1);
  return registeredArguments[index] ?? (last?.variadic === true ? last : undefined);
}

/** `rm` takes sandboxes, and snapshots with `--snapshot`. */
function meaningOf(argument: Argument, options: readonly string[]): string {
  if (argument.name() === 'names') return options.includes('--snapshot') ? 'snapshot' : 'sandbox';
  return argumentKinds[argument.name()] ?? '';
}

const argumentKinds: Readonly<Record<string, ValueKind>> = {
  id: 'sandbox',
  ids: 'sandbox',
  tag: 'snapshot',
  tags: 'snapshot',
};

function placeholderOf({ flags }: Option): string {
  return /<([^>]*)>/.exec(flags)?.[1] ?? '';
}

async function valuesFor(
  choices: readonly string[] | undefined,
  placeholder: string,
  valuesOf: ValuesOf,
): Promise<readonly Suggestion[]> {
  if (choices !== undefined) return choices.map((word) => ({ word, about: '' }));
  if (placeholder === 'sandbox' || placeholder === 'snapshot' || placeholder === 'image')
    return valuesOf(placeholder);
  return placeholder === 'file' || placeholder === 'dir' ? [FILES] : [];
}
