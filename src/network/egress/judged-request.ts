/**
 * What becomes of one request of an opened connection.
 *
 *   for another name than the connection, or in a form that is for proxies ─▶ refused
 *   a secret of it was removed                                            ─▶ refused: it never goes on without
 *   else                                                                  ─▶ passed on, with what is injected
 */
import { parseHost } from '../name.js';
import type { Injection } from './secret-book.js';

const DEFAULT_PORT = 443;

export interface AskedRequest {
  readonly method: string;
  /** What it says it is for: all of its Host headers, or its authority. */
  readonly authorities: readonly string[];
  readonly path: string;
}

/** What it is answered with, in place of what was asked for. */
export interface Refusal {
  readonly status: number;
  readonly problem: string;
}

export type RequestVerdict = { readonly injections: readonly Injection[] } | Refusal;

/** A connection's name and port, and what is to be set in its requests at this moment. */
export interface OpenedFor {
  readonly name: string;
  readonly port: number;
  readonly injections: () => readonly Injection[];
}

export function judgeRequest(asked: AskedRequest, opened: OpenedFor): RequestVerdict {
  return formProblem(asked, opened) ?? withSecrets(opened.injections());
}

/** How a request says whom it is for. */
export function authorityOf({ name, port }: Pick<OpenedFor, 'name' | 'port'>): string {
  return port === DEFAULT_PORT ? name : `${name}:${port}`;
}

function formProblem({ method, authorities, path }: AskedRequest, opened: OpenedFor): Refusal | undefined {
  const [authority] = authorities;
  if (authority === undefined || authorities.length > 1)
    return { status: 400, problem: 'a request has to say once whom it is for' };
  if (!isFor(authority, opened))
    return { status: 421, problem: `this connection is for ${authorityOf(opened)}` };
  if (method === 'CONNECT') return { status: 405, problem: 'nothing is tunnelled' };
  const isPlain = path.startsWith('/') || (path === '*' && method === 'OPTIONS');
  return isPlain ? undefined : { status: 400, problem: 'the target of a request has to be a path' };
}

function isFor(authority: string, { name, port }: OpenedFor): boolean {
  const [, host = '', digits] = /^([^:@]*)(?::(\d{1,5}))?$/.exec(authority) ?? [];
  const parsed = parseHost(host);
  const isName = parsed !== undefined && 'name' in parsed && parsed.name === name;
  return isName && Number(digits ?? DEFAULT_PORT) === port;
}

function withSecrets(injections: readonly Injection[]): RequestVerdict {
  const removed = injections.find(({ text }) => text === undefined);
  if (removed !== undefined)
    return { status: 502, problem: `the secret "${removed.secret}" was removed from this host` };
  if (injections.length === 0) return { status: 502, problem: 'no secret is for this name any more' };
  return { injections };
}
