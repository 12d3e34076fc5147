/**
 * What one client may ask of the HTTP server. Node counts these while it reads, before any of our code runs.
 */

export const bodyLimitBytes = 1024 * 1024;

/** Time for all headers of a request to arrive. */
export const headersTimeoutMs = 10_000;

/** Time for a whole request to arrive, body included; how long the answer takes is not limited. */
export const requestTimeoutMs = 60_000;

export const keepAliveTimeoutMs = 65_000;
export const maxHeaderBytes = 16 * 1024;
export const maxHeaderCount = 100;
export const maxConnections = 1024;
export const maxParamLength = 512;

/** How often Node looks for requests that are too slow. */
export const connectionCheckIntervalMs = 1_000;
