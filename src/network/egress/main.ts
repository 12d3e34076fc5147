/** `node main.js SOCKET [DNS-SERVER…]`: serves until it is told to stop by SIGTERM, or is of no use to anybody. */
import { Egress } from './egress.js';
import { cachedResolver } from './resolver.js';

const [socketPath, ...servers] = process.argv.slice(2);
if (socketPath === undefined) throw new TypeError('The path of the socket is missing');

process.umask(0o077);
const stop = (): void => void egress.close().then(() => process.exit());
const egress = await Egress.open(
  socketPath,
  cachedResolver(servers.length === 0 ? undefined : servers),
  stop,
);
process.once('SIGTERM', stop);
