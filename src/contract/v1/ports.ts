/** TCP ports of a sandbox's guest. */

import { z } from 'zod';
import { endpoints } from './endpoints.js';
import { byId, guestErrors, type RouteTable } from './route.js';

/** A TCP port in a path. */
export const portTextSchema = z
  .string()
  .regex(/^[1-9]\d{0,4}$/, 'must be a port')
  .transform(Number)
  .refine((port) => port <= 65_535, 'must be a port')
  .describe('TCP port in the guest, 1 to 65535');

/** Path parameters of a port's routes. */
export const byPort = byId.extend({ port: portTextSchema });

/** Routes of ports. */
export const portRoutes = {
  connectPort: {
    ...endpoints.connectPort,
    kind: 'socket',
    scope: 'exec',
    summary:
      'A connection to a TCP port of the guest. Binary messages carry its bytes, both ways at once; an empty one is the end of that direction, and nothing is lost when both have sent it. A port that nobody listens on closes the socket at once, with 1011 and `port_unreachable`.',
    resource: 'sandboxes',
    params: byPort,
    errors: ['invalid_request', 'port_unreachable', 'port_failed', ...guestErrors],
  },
} as const satisfies RouteTable;
