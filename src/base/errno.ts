/**
 * Names of Linux's error numbers, also of those that Node has none for: a disk quota that is used up is one.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

const linuxNames = new Map(Object.entries(constants.errno).map(([name, errno]) => [errno, name]));

/** Such as `ENOSPC` for 28: the name Node's errors have as `code` where they have one, else Linux's. */
export function errnoName(errno: number): string | undefined {
  return getSystemErrorMap().get(-errno)?.[0] ?? linuxNames.get(errno);
}

/** The `code` of a Node system error (`ENOENT`, …), undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  const unnamed = /^Unknown system error -(\d+)$/.exec(error.code)?.[1];
  return unnamed === undefined ? error.code : errnoName(Number(unnamed));
}

/** Whether a name of an error says that a file system has no room: none at all, or none that its quota leaves. */
export function isNoRoom(name: string | undefined): boolean {
  return name === 'ENOSPC' || name === 'EDQUOT';
}
