/** A daemon over a host without VMs, and the command line asking it. */
import { pino } from 'pino';
import { Events } from '../../src/contract/index.js';
import { loadConfig } from '../../src/daemon/config.js';
import { serve } from '../../src/daemon/serve.js';
import type { Host } from '../../src/sandbox/host/host.js';
import { runInProcess, type Ran, type Scripted } from './cli-in-process.js';
import { fakeHost, type FakeHost } from './fake-host.js';
import { tellingHost } from './telling-host.js';

export class CliDaemon {
  readonly host: FakeHost;
  readonly url: string;
  readonly #close: () => Promise<void>;

  private constructor(host: FakeHost, url: string, close: () => Promise<void>) {
    this.host = host;
    this.url = url;
    this.#close = close;
  }

  static async open(script: Partial<Host> = {}): Promise<CliDaemon> {
    const events = new Events();
    const host = tellingHost(fakeHost(script), events);
    const config = loadConfig({ listen: '127.0.0.1:0', stateDir: '/nowhere' }, {});
    const daemon = await serve(config, host, { log: pino({ level: 'silent' }), events, drainMs: 20 });
    return new CliDaemon(host, daemon.address, () => daemon.close());
  }

  /** Runs one command line. */
  run(args: readonly string[], { env, ...scripted }: Scripted = {}): Promise<Ran> {
    return runInProcess(args, { ...scripted, env: { BOUGH_URL: this.url, ...env } });
  }

  /** What a command that must succeed printed. */
  async printed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args);
    if (code !== 0) throw new Error(`bough ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** A new sandbox; its id. */
  async spawn(...options: string[]): Promise<string> {
    return (await this.printed('spawn', '--tag', 'base', ...options)).trim();
  }

  close(): Promise<void> {
    return this.#close();
  }
}
