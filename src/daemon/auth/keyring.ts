/**
 * Who may call and what: the one token of `--token-file`, and those of the tokens file, which is followed while the daemon runs.
 *
 * Invariant: it never lets in more than the last file it could read says. A file that is broken, or gone, changes nothing and is told of;
 * where neither is configured nor there every request may pass, and from the moment a file is there none may without a token. What was let
 * in before ends with that.
 */
import { timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { BoughError, covers, type Emit, type Scope } from '../../contract/index.js';
import type { Principal } from '../../sandbox/host/call.js';
import { ConfigError, type Config } from '../config.js';
import { followFiles, versionsOf, type Following, type Versions } from './follow.js';
import { digestOf, loadTokenCheck, type TokenCheck } from './token.js';
import { commonForm, readTokensFile, type StoredToken } from './tokens-file.js';

/** Whoever sends a request. */
export interface Caller {
  readonly principal: Principal;
  readonly scope: Scope;
  /** Fires, with an error of the catalogue, when it may not call any more, or less than that. */
  readonly revoked: AbortSignal;
}

interface Key extends Caller {
  readonly digest: Buffer;
  readonly access: Access;
}

/** What a caller has until it is taken back. */
class Access {
  readonly #controller = new AbortController();

  constructor() {
    // Each call of the caller listens.
    setMaxListeners(0, this.revoked);
  }

  get revoked(): AbortSignal {
    return this.#controller.signal;
  }

  revoke(): void {
    this.#controller.abort(new BoughError('token_revoked'));
  }
}

export class Keyring {
  readonly #one: TokenCheck | undefined;
  readonly #oneAccess = new Access();
  readonly #openAccess = new Access();
  #keys: readonly Key[] | undefined;
  readonly #read: Versions;
  #following: Following | undefined;

  /** `tokens`: undefined where there is no file; `read`: which versions of it they are of. */
  constructor(one?: TokenCheck, tokens?: readonly StoredToken[], read: Versions = []) {
    this.#one = one;
    this.#read = read;
    this.#take(tokens);
  }

  /** Reads what a configuration names. Throws `ConfigError` for a file that cannot be used, and where others could call without a token. */
  static async open({ tokenFile, tokensFile, listen }: Config): Promise<Keyring> {
    const one = tokenFile === undefined ? undefined : await loadTokenCheck(tokenFile);
    const versions = await versionsOf([tokensFile]);
    const keyring = new Keyring(one, await readTokensFile(tokensFile), versions);
    if (keyring.isGuarded || listen.isLoopback) return keyring;
    throw new ConfigError(
      `Refusing to listen on ${listen.host} without a token: others can reach that address. Give --token-file, make one with \`bough token add\`, or listen on 127.0.0.1`,
    );
  }

  /** Whether a token is asked for. */
  get isGuarded(): boolean {
    return this.#one !== undefined || this.#keys !== undefined;
  }

  /** Whoever calls while no token is asked for. */
  get anonymous(): Caller {
    return { principal: 'anonymous', scope: 'admin', revoked: this.#openAccess.revoked };
  }

  /** Whose a token is; undefined for nobody's. It takes as long for each that is nobody's. */
  callerOf(presented: string): Caller | undefined {
    const digest = digestOf(commonForm(presented));
    const { revoked } = this.#oneAccess;
    let found: Caller | undefined =
      this.#one?.(presented) === true ? { principal: 'token', scope: 'admin', revoked } : undefined;
    for (const key of this.#keys ?? []) if (timingSafeEqual(digest, key.digest)) found = key;
    return found;
  }

  /** Reads the file again whenever it changes, or has since it was read, until `close`. */
  follow(path: string, emit: Emit): void {
    const reload = async (): Promise<void> => {
      try {
        const tokens = await readTokensFile(path);
        if (tokens === undefined && this.#keys === undefined) return;
        if (tokens === undefined) throw new ConfigError(`The tokens file ${path} is gone`);
        this.#take(tokens);
        emit('tokens.reloaded', { tokens: tokens.length });
      } catch (err) {
        emit('tokens.not-reloaded', { err });
      }
    };
    this.#following = followFiles([path], this.#read, reload);
  }

  /** Idempotent. */
  close(): void {
    this.#following?.close();
  }

  #take(tokens: readonly StoredToken[] | undefined): void {
    const before = this.#keys ?? [];
    this.#keys = tokens?.map((token) => keyOf(token, before));
    if (this.isGuarded) this.#openAccess.revoke();
    const kept = new Set(this.#keys?.map(({ access }) => access));
    for (const { access } of before) if (!kept.has(access)) access.revoke();
  }
}

/** With the access that the same token had, if it may do as much still. */
function keyOf({ name, scope, sha256 }: StoredToken, before: readonly Key[]): Key {
  const digest = Buffer.from(sha256, 'hex');
  const known = before.find((key) => key.digest.equals(digest) && covers(scope, key.scope));
  const access = known?.access ?? new Access();
  return { principal: name, scope, digest, access, revoked: access.revoked };
}
