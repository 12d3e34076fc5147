/** Handler: a connection to a port of a sandbox. */
import type { Host } from '../../sandbox/host/host.js';
import type { Handlers } from '../rows/handlers.js';
import { tunnel } from '../streams/tunnel.js';
import { knownForm } from './sandbox-id.js';

export function portHandlers(host: Host): Pick<Handlers, 'connectPort'> {
  return {
    async connectPort({ params, socket }, call) {
      // What comes before it is read waits; it is read, and sent along, before there is a connection.
      socket.pause();
      try {
        const which = { id: knownForm(params), port: params.port };
        await host.withPort(which, (connection) => tunnel(socket, connection), call);
      } finally {
        socket.resume();
      }
    },
  };
}
