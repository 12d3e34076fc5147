/** One line of `bough doctor`. */
export interface Check {
  readonly name: string;
  /** `fail`: bough cannot work. `warn`: it works slower, less isolated, or only in part. */
  readonly status: 'ok' | 'warn' | 'fail';
  /** What was found, as a phrase. */
  readonly found: string;
  /** What to do about it; absent when there is nothing to do. */
  readonly remedy?: string;
  /** The remedy as a setting of the running kernel, which lasts until it is booted again. */
  readonly setting?: KernelSetting;
}

/** A file below /proc or /sys, and what to write there. */
export interface KernelSetting {
  readonly path: string;
  readonly value: string;
}

/** A check that holds. */
export function ok(name: string, found: string): Check {
  return { name, status: 'ok', found };
}

/** A check that holds in part. */
export function warn(name: string, found: string, remedy: string): Check {
  return { name, status: 'warn', found, remedy };
}

/** A check that does not hold. */
export function fail(name: string, found: string, remedy: string): Check {
  return { name, status: 'fail', found, remedy };
}
