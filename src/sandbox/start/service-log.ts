/**
 * What a service prints, as far as anybody needs it: its end, for the sentence that says why it failed, and whether a line of it had a
 * pattern.
 *
 * A pattern is text in which `*` stands for anything within a line. It is looked for from left to right, each piece where it first comes
 * after the one before: no pattern goes back, whatever a guest prints. Lines are cut at MAX_LINE_BYTES.
 */
const MAX_LINE_BYTES = 4096;
const KEPT_BYTES = 4096;
const KEPT_LINES = 20;

export class ServiceLog {
  readonly #pieces: readonly string[];
  /** The line that each stream is in the middle of. */
  readonly #unfinished = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  #end = Buffer.alloc(0);
  #hasMatched = false;

  constructor(pattern = '') {
    this.#pieces = pattern.split('*').filter((piece) => piece !== '');
  }

  /** Whether a line had the pattern, one that is not finished too. */
  get hasMatched(): boolean {
    for (const line of Object.values(this.#unfinished)) if (line.length > 0) this.#match(line);
    return this.#hasMatched;
  }

  add(stream: 'stdout' | 'stderr', bytes: Buffer): void {
    this.#end = Buffer.concat([this.#end, bytes]).subarray(-KEPT_BYTES);
    if (this.#hasMatched) return;
    const text = Buffer.concat([this.#unfinished[stream], bytes]);
    let from = 0;
    for (let to = lineEnd(text, from); to < text.length; to = lineEnd(text, from)) {
      this.#match(text.subarray(from, to));
      from = to + (text[to] === 0x0a ? 1 : 0);
    }
    this.#unfinished[stream] = text.subarray(from);
  }

  /** The last lines of all, without what a terminal would obey. */
  get end(): string {
    const text = this.#end.toString('utf8').trimEnd().split('\n').slice(-KEPT_LINES).join('\n');
    // eslint-disable-next-line no-control-regex -- they are what is taken out
    return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '');
  }

  #match(line: Buffer): void {
    this.#hasMatched ||= hasPieces(line.toString('utf8'), this.#pieces);
  }
}

/** Where the line that begins at `from` ends: at its line feed, or where it is cut. */
function lineEnd(text: Buffer, from: number): number {
  const at = text.indexOf(0x0a, from);
  return Math.min(at < 0 ? text.length : at, from + MAX_LINE_BYTES);
}

function hasPieces(line: string, pieces: readonly string[]): boolean {
  let from = 0;
  for (const piece of pieces) {
    const at = line.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}
