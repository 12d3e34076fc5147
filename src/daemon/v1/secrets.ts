/** Handlers: secrets. What they answer has no value in it. */
import type { Secret } from '../../contract/index.js';
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';

export function secretHandlers(host: Host): Pick<Handlers, 'listSecrets' | 'setSecret' | 'removeSecret'> {
  return {
    listSecrets: async (_parts, call) => (await host.listSecrets(call)).map(wireSecret),
    setSecret: async ({ params, body }, call) => wireSecret(await host.setSecret(params.name, body, call)),
    removeSecret: async ({ params }, call) => {
      await host.removeSecret(params.name, call);
      return undefined;
    },
  };
}

function wireSecret({
  name,
  hosts,
  header,
  format,
  updatedAtUnix,
}: Awaited<ReturnType<Host['setSecret']>>): Secret {
  return { name, hosts, header, format, updated_at_unix: updatedAtUnix };
}
