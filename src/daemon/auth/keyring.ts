/**
 * Who may call and what: the one token of `--token-file`, and those of the tokens file, which is followed while the daemon runs.
 *
 * Invariant: it never lets in more than the last file it could read says. A file that is broken, or gone, changes nothing and is told of;
 * where neither is configured nor there every request may pass, and from the moment a file is there none may without a token.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Emit, Scope } from '../../contract/index.js';
import type { Principal } from '../../sandbox/host/call.js';
import { ConfigError, type Config } from '../config.js';
import { followFiles, type Following } from './follow.js';
import { digestOf, loadTokenCheck, type TokenCheck } from './token.js';
import { commonForm, readTokensFile, type StoredToken } from './tokens-file.js';

/** Whoever sends a request. */
export interface Caller {
  readonly principal: Principal;
  readonly scope: Scope;
}

interface Key extends Caller {
  readonly digest: Buffer;
}

export class Keyring {
  readonly #one: TokenCheck | undefined;
  #keys: readonly Key[] | undefined;
  #following: Following | undefined;

  /** `tokens`: undefined where there is no file. */
  constructor(one?: TokenCheck, tokens?: readonly StoredToken[]) {
    this.#one = one;
    this.#take(tokens);
  }

  /** Reads what a configuration names. Throws `ConfigError` for a file that cannot be used, and where others could call without a token. */
  static async open({ tokenFile, tokensFile, listen }: Config): Promise<Keyring> {
    const one = tokenFile === undefined ? undefined : await loadTokenCheck(tokenFile);
    const keyring = new Keyring(one, await readTokensFile(tokensFile));
    if (keyring.isGuarded || listen.isLoopback) return keyring;
    throw new ConfigError(
      `Refusing to listen on ${listen.host} without a token: others can reach that address. Give --token-file, make one with \`bough token add\`, or listen on 127.0.0.1`,
    );
  }

  /** Whether a token is asked for. */
  get isGuarded(): boolean {
    return this.#one !== undefined || this.#keys !== undefined;
  }

  /** Whose a token is; undefined for nobody's. It takes as long for each that is nobody's. */
  callerOf(presented: string): Caller | undefined {
    const digest = digestOf(commonForm(presented));
    let found: Caller | undefined =
      this.#one?.(presented) === true ? { principal: 'token', scope: 'admin' } : undefined;
    for (const key of this.#keys ?? []) if (timingSafeEqual(digest, key.digest)) found = key;
    return found;
  }

  /** Reads the file again whenever it changes, until `close`. */
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
    this.#following = followFiles([path], reload);
  }

  /** Idempotent. */
  close(): void {
    this.#following?.close();
  }

  #take(tokens: readonly StoredToken[] | undefined): void {
    this.#keys = tokens?.map(({ name, scope, sha256 }) => ({
      principal: name,
      scope,
      digest: Buffer.from(sha256, 'hex'),
    }));
  }
}
