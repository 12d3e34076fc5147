/** The configuration of a daemon, for commands about one that need not run. Loaded when it is asked for, with the library that checks it. */

import type { Config } from '../daemon/config.js';
import type { SettingName } from '../daemon/settings.js';

/** Throws `ConfigError`. */
export async function daemonConfig(
  flags: Partial<Record<SettingName, string>>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Config> {
  const { loadConfig } = await import('../daemon/config.js');
  return loadConfig(flags, env);
}
