/** What a sandbox's network has done since its policy began. */
export interface Counts {
  /** Open now. */
  open: number;
  /** Let through so far. */
  connections: number;
  refused: number;
  queries: number;
  bytesUp: number;
  bytesDown: number;
}

export function noCounts(): Counts {
  return { open: 0, connections: 0, refused: 0, queries: 0, bytesUp: 0, bytesDown: 0 };
}
