/**
 * A daemon from start to end: configuration, host, server, and what stops it.
 *
 * The first signal stops politely, a second one exits at once. Sandboxes are processes of their own and keep running either way.
 * Anything unexpected is logged and ends the process: a supervisor starts it again and it adopts what runs.
 */

import { pino } from 'pino';
import { armFailpoints, compileAtFirstCall } from '../base/index.js';
import { Events } from '../contract/index.js';
import { readCertificate } from './certificate.js';
import { loadConfig } from './config.js';
import { intoLog } from './events-log.js';
import { toParent } from './events-parent.js';
import type { OpenHost } from './open-host.js';
import type { SettingName } from './settings.js';
import { Keyring } from './auth/keyring.js';
import { serve } from './serve.js';
import { tellReady } from './service-manager.js';
import { stopSignal } from './stop-signal.js';

export interface RunDaemonOptions {
  readonly openHost?: OpenHost;
  /** Told once, when requests are answered. */
  readonly onListening?: (listening: Listening) => void;
}

export interface Listening {
  readonly address: string;
  readonly stateDir: string;
}

/** Resolves when the daemon was told to stop and has. Throws `ConfigError` when it may not start. */
export async function runDaemon(
  flags: Partial<Record<SettingName, string>>,
  env: Readonly<Record<string, string | undefined>>,
  { openHost = openLazily, onListening }: RunDaemonOptions = {},
): Promise<void> {
  process.umask(0o077);
  const config = loadConfig(flags, env);
  armFailpoints(env['BOUGH_FAILPOINTS'] ?? '');
  // Before anything is locked, adopted or written.
  await Keyring.open(config);
  if (config.tls !== undefined) await readCertificate(config.tls);
  const log = pino({ level: config.logLevel, name: 'bough' }, pino.destination(2));
  process.once('uncaughtException', (error) => {
    log.fatal({ err: error }, 'unexpected failure, exiting');
    process.exit(1);
  });

  const events = new Events();
  events.subscribe(intoLog(log));
  const tellParent = toParent();
  if (tellParent !== undefined) events.subscribe(tellParent);

  const host = await openHost(config, events.emit);
  try {
    const daemon = await serve(config, host, { log, events });
    try {
      // Not before: of what only a start calls, it would make the start take longer.
      compileAtFirstCall();
      onListening?.({ address: daemon.address, stateDir: config.stateDir });
      const told = stopSignal(env);
      await tellReady(env);
      log.info({ why: await told }, 'stopping');
    } finally {
      await daemon.close();
    }
  } finally {
    await host.close();
  }
  log.info('stopped');
}

/** A daemon that may not start says so without loading the domain. */
const openLazily: OpenHost = async (config, emit) => {
  const { openConfiguredHost } = await import('./open-host.js');
  return openConfiguredHost(config, emit);
};
