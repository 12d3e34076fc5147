/**
 * A program's output on its way into a JSON answer: escaped piece by piece while the program still prints, which costs nothing
 * then, and kept as bytes, so that 16 MiB of it never become one string that is copied four times after the program has ended.
 */
import { StringDecoder } from 'node:string_decoder';
import { OutputLimit } from '../../agent/index.js';

/** Shorter pieces are put together first: a guest may send one byte at a time. */
const PIECE_CHARACTERS = 64 << 10;

const QUOTE = Buffer.from('"');

export class JsonText {
  readonly #limit: OutputLimit;
  readonly #decoder = new StringDecoder('utf8');
  readonly #pieces: Buffer[] = [];
  #unescaped = '';

  constructor(limitBytes?: number) {
    this.#limit = new OutputLimit(limitBytes);
  }

  get truncated(): boolean {
    return this.#limit.truncated;
  }

  add(bytes: Buffer): void {
    this.#unescaped += this.#decoder.write(this.#limit.take(bytes));
    if (this.#unescaped.length >= PIECE_CHARACTERS) this.#escape();
  }

  /** The whole as a JSON string, in pieces. Nothing can be added any more. */
  end(): readonly Buffer[] {
    this.#unescaped += this.#decoder.end() + this.#limit.note;
    this.#escape();
    return [QUOTE, ...this.#pieces, QUOTE];
  }

  #escape(): void {
    this.#pieces.push(Buffer.from(JSON.stringify(this.#unescaped).slice(1, -1)));
    this.#unescaped = '';
  }
}
