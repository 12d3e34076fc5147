/**
 * The bytes of a guest's connection, both ways: neither side is read faster than the other takes, and an end is
 * passed on as an end, anything else as a cut.
 *
 * An end towards the guest is announced (`beforeEnd`) once all bytes before it have left this process, and only then
 * made: whatever kills this process, a guest never takes for complete what is not.
 *
 * `hold` looks at what the client says first and keeps it back until that is decided on; what the server says is
 * never kept back, so protocols in which it speaks first are not delayed.
 */
import type { Socket } from 'node:net';

export interface SpliceOptions {
  /** Announces the end of what goes to the guest; calls back when that has left. */
  readonly beforeEnd: (done: () => void) => void;
  /** What the client has said so far: let it through, wait for more, or cut. Undefined when nobody looks. */
  readonly hold?: ((said: Buffer) => 'pass' | 'more' | 'cut') | undefined;
  readonly count: { bytesUp: number; bytesDown: number };
}

/** Both sockets allow half-open and are connected; they belong to the splice from here on. */
export function splice(guest: Socket, world: Socket, options: SpliceOptions): void {
  const { count } = options;
  let held = options.hold === undefined ? undefined : Buffer.alloc(0);
  const cut = (): void => {
    guest.destroy();
    if (!world.destroyed) world.resetAndDestroy();
  };
  const announce = (failure?: Error | null): void => {
    if (!failure && !guest.destroyed) options.beforeEnd(() => guest.end());
  };
  const up = (chunk: Buffer): void => {
    count.bytesUp += chunk.length;
    if (!world.write(chunk)) guest.pause();
  };
  guest.on('data', (chunk: Buffer) => {
    if (held === undefined || options.hold === undefined) {
      up(chunk);
      return;
    }
    held = Buffer.concat([held, chunk]);
    const verdict = options.hold(held);
    if (verdict === 'cut') cut();
    if (verdict !== 'pass') return;
    up(held);
    held = undefined;
  });
  world.on('data', (chunk: Buffer) => {
    count.bytesDown += chunk.length;
    if (!guest.write(chunk)) world.pause();
  });
  world.on('drain', () => guest.resume());
  guest.on('drain', () => world.resume());
  guest.on('end', () => world.end());
  // An empty write is done when all before it are.
  world.on('end', () => guest.write(Buffer.alloc(0), announce));
  guest.on('error', cut);
  world.on('error', cut);
  // Closed by a gate whose guest has gone, or ended both ways.
  guest.on('close', () => world.destroy());
  guest.resume();
}
