/** Clocks that a test sets: time passes on both, a step changes the wall clock alone. */
import type { Clock } from '../../src/base/index.js';

export class FakeClock implements Clock {
  bootId = 'boot-1';
  #unixMs = 1_700_000_000_000;
  #bootMs = 5_000_000;

  unixMs(): number {
    return this.#unixMs;
  }

  bootMs(): number {
    return this.#bootMs;
  }

  get unixSecs(): number {
    return this.#unixMs / 1000;
  }

  pass(secs: number): void {
    this.#unixMs += secs * 1000;
    this.#bootMs += secs * 1000;
  }

  step(secs: number): void {
    this.#unixMs += secs * 1000;
  }

  reboot(downSecs: number): void {
    this.bootId += "'";
    this.#unixMs += downSecs * 1000;
    this.#bootMs = 10_000;
  }
}
