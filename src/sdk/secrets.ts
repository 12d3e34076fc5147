/** Calls about secrets. */

import type { Secret, SecretRequestInput } from '../contract/index.js';
import type { CallOptions, Transport } from './transport.js';

/**
 * `bough.secrets`: values that are put into requests of sandboxes on their way out, and that no sandbox has. A policy names those that a
 * sandbox may use; to which hosts each goes is said here, and nowhere else.
 *
 * @example
 * ```ts
 * await bough.secrets.set('search', { value: 'the key', hosts: ['api.example.com'] });
 * const network = { mode: 'list' as const, rules: [{ allow: 'api.example.com' }], secrets: ['search'] };
 * const sandbox = await bough.spawn('base', { network });
 * ```
 */
export class Secrets {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * All of them, without their values.
   *
   * @example
   * ```ts
   * await bough.secrets.set('search', { value: 'the key', hosts: ['api.example.com'] });
   * for (const { name, hosts } of await bough.secrets.list()) console.log(name, hosts); // search [ 'api.example.com' ]
   * ```
   */
  list(options?: CallOptions): Promise<Secret[]> {
    return this.#transport.call('listSecrets', options);
  }

  /**
   * Makes one, or replaces it as a whole: requests that begin after that get the new value, those of running sandboxes too. Without
   * `header` and `format` it is sent as `Authorization: Bearer …`.
   *
   * @example
   * ```ts
   * const request = { value: 'the key', hosts: ['api.example.com'], header: 'X-Api-Key', format: '{}' };
   * console.log((await bough.secrets.set('search', request)).header); // X-Api-Key
   * ```
   */
  set(name: string, request: SecretRequestInput, options?: CallOptions): Promise<Secret> {
    return this.#transport.call('setSecret', { ...options, params: { name }, body: request });
  }

  /**
   * Removes one. What running sandboxes ask of its hosts is answered with 502 from then on, and never goes on without it. Rejects with
   * code `secret_not_found`.
   *
   * @example
   * ```ts
   * await bough.secrets.set('search', { value: 'the key', hosts: ['api.example.com'] });
   * await bough.secrets.remove('search');
   * console.log((await bough.secrets.list()).length); // 0
   * ```
   */
  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#transport.call('removeSecret', { ...options, params: { name } });
  }
}
