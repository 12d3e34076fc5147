/**
 * What one client may ask of the HTTP server. Node counts headers and connections while it reads; how long a body may take depends on
 * the kind of its row, so it is counted where rows are bound (rows/).
 */
export const limits = {
  /** Of a JSON body. */
  bodyLimitBytes: 1024 * 1024,

  /** Time for all headers of a request to arrive. */
  headersTimeoutMs: 10_000,

  /**
   * Time for a whole JSON body to arrive, and for what is left of any body once its request is answered; how long the answer takes is
   * not limited.
   */
  bodyTimeoutMs: 60_000,

  /** How often who asks for it is told that a request is under way still. Clients of today give up after 300 seconds of nothing. */
  processingMs: 120_000,

  keepAliveTimeoutMs: 65_000,
  maxHeaderBytes: 16 * 1024,
  maxHeaderCount: 100,
  /** The streams that two guests' agents take, with what their clients ask besides. */
  maxConnections: 4096,
  maxParamLength: 512,

  /** How often Node looks for headers that are too slow. */
  connectionCheckIntervalMs: 1_000,
};

export type Limits = Readonly<typeof limits>;
