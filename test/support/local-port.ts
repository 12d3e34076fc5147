/** Ports of this machine in place of a guest's. */
import { connect } from 'node:net';
import { BoughError, isBoughError } from '../../src/contract/index.js';
import type { Host } from '../../src/sandbox/host/host.js';

/** `check` throws for a sandbox there is not. */
export function localPort(check: (id: string) => void): Host['withPort'] {
  return async ({ id, port }, use, { signal }) => {
    check(id);
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined);
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', (cause) => {
        const problem = `nothing listens on port ${port}`;
        reject(new BoughError('port_unreachable', { id, problem }, { cause }));
      });
      socket.once('close', () => reject(new Error('it was given up before there was a connection')));
    });
    try {
      // As an agent does for who goes away.
      signal.addEventListener('abort', () => socket.resetAndDestroy());
      const [, used] = await Promise.all([connected, use(Object.assign(socket, { connected }))]);
      return used;
    } catch (cause) {
      if (isBoughError(cause)) throw cause;
      throw new BoughError('port_failed', { id, problem: 'the connection was reset' }, { cause });
    } finally {
      socket.destroy();
    }
  };
}
