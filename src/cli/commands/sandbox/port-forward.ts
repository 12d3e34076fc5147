/** `bough sandbox port-forward`: ports of a sandbox on this machine's loopback. */

import { InvalidArgumentError, type Command } from 'commander';
import { compact, messageOf, ResourceStack } from '../../../base/index.js';
import { plainLine } from '../../../base/table.js';
import type { Bough } from '../../../sdk/index.js';
import { sandboxArgument } from '../../arguments.js';
import { addClientOptions, clientFor, type Context } from '../../context.js';
import { withExample } from '../../example.js';
import { Forwarding } from '../../forwarding.js';
import { Interrupts } from '../../interrupts.js';
import type { Io } from '../../io.js';

interface PortPair {
  readonly local: number;
  readonly guest: number;
}

export function registerPortForward(parent: Command, context: Context): void {
  const { io } = context;
  const command = parent
    .command('port-forward')
    .description(
      "Pass connections to ports of this machine's loopback on to ports of a sandbox, until that ends or Ctrl-C; prints where it listens.",
    )
    .argument('<id>', 'the sandbox, by id or name', sandboxArgument)
    .argument(
      '<ports...>',
      '`LOCAL:GUEST`, one number for both, or `:GUEST` for any that is free',
      portPairs,
    );
  addClientOptions(command).action(async (name: string, pairs: PortPair[]) => {
    const { WebSocket } = await import('ws');
    const client = await clientFor(command, context, (ca) => (url, headers) => {
      return new WebSocket(url, { headers, perMessageDeflate: false, ...compact({ ca }) });
    });
    using interrupts = new Interrupts(io);
    const { signal } = interrupts;
    // A name could be another's by and by.
    const { id } = await client.sandboxes.get(name, { signal });
    await using forwardings = new ResourceStack();
    for (const { local, guest } of pairs) {
      const forwarding = forwardings.use(await forward({ client, id, io, signal }, { local, guest }));
      io.stdout(`${forwarding.address} -> ${guest}\n`);
    }
    for await (const { event } of client.sandboxes.events(id, {}, { signal }))
      if (event === 'ended') io.stderr(`note: the sandbox has ended\n`);
  });
  withExample(command, 'bough port-forward $id 8080:80 5432');
}

/** Reads `<ports...>`. */
function portPairs(text: string, earlier: readonly PortPair[] = []): readonly PortPair[] {
  const [, local, guest = ''] = /^(?:(\d{0,5}):)?(\d{1,5})$/.exec(text) ?? [];
  const pair = { local: Number(local ?? guest), guest: Number(guest) };
  if (guest === '' || pair.local > 65_535 || pair.guest < 1 || pair.guest > 65_535)
    throw new InvalidArgumentError('It must be LOCAL:GUEST, such as 8080:80.');
  return [...earlier, pair];
}

interface Where {
  readonly client: Bough;
  readonly id: string;
  readonly io: Io;
  readonly signal: AbortSignal;
}

function forward({ client, id, io, signal }: Where, { local, guest }: PortPair): Promise<Forwarding> {
  const ports = client.sandboxes.ports(id);
  return Forwarding.listen(local, {
    connect: () => ports.connect(guest, { signal }),
    onFailure: (error) => {
      if (!signal.aborted)
        io.stderr(`note: a connection to port ${guest} ended: ${plainLine(messageOf(error))}\n`);
    },
  });
}
