/** The seam between the HTTP side and the domain: the one place of the daemon that knows which Host it runs on. */

import type { Emit } from '../contract/index.js';
import type { Host } from '../sandbox/host/host.js';
import { openHost } from '../sandbox/host/open-host.js';
import { IsolationMissing } from '../sandbox/host/open-walls.js';
import { checkDurableDir, checkHotDir } from '../vmm/index.js';
import { ConfigError, type Config } from './config.js';
import { readPresets } from './presets-file.js';

/** Makes the host a daemon serves. */
export type OpenHost = (config: Config, emit: Emit) => Promise<Host>;

/**
 * Opens the host a configuration describes: locks its state directory, adopts and reaps what is left from before. Throws `ConfigError`
 * for a folder that cannot hold what belongs there.
 */
export const openConfiguredHost: OpenHost = async (config, emit) => {
  const { stateDir, hotDir, cacheDir, maxConcurrentBranches } = config;
  const { diskQuotaBytes, hotBudgetBytes, memoryReserveBytes, accelerator, qemuPath, warmVmms } = config;
  const { dnsServers, networkDefault, hubKeysDir, trustFile } = config;
  const { isolation, requireIsolation, vmmUids } = config;
  const networkPresets = await readPresets(config.networkPresets);
  for (const check of [await checkHotDir(hotDir), await checkDurableDir('state folder', stateDir)]) {
    if (check.status === 'fail')
      throw new ConfigError(`Cannot use this ${check.name}: ${check.found}. ${check.remedy ?? ''}`.trim());
  }
  return openHost({
    ...{ stateDir, hotDir, cacheDir, maxConcurrentBranches },
    ...{ diskQuotaBytes, hotBudgetBytes, memoryReserveBytes, accelerator, qemuPath, warmVmms },
    ...{ networkPresets, dnsServers, networkDefault, hubKeysDir, trustFile },
    ...{ isolation, requireIsolation, vmmUids },
    emit,
  }).catch((error: unknown) => {
    if (!(error instanceof IsolationMissing)) throw error;
    throw new ConfigError(`${error.message}. See \`bough doctor\``, { cause: error });
  });
};
