/**
 * A thread that runs examples one after the other, so that the SDK is loaded once for all: it is sent an example's number and the
 * daemon's URL, and answers with what the example printed. Sent nothing more, it ends, if no example has left anything behind that goes on.
 */
import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../src/base/index.js';

export interface ExampleOrder {
  readonly index: number;
  readonly url: string;
}

export type ExampleAnswer = { readonly printed: string } | { readonly failure: string };

/** Runs what it is told to of `examples`, each of which loads, and so runs, one. */
export function runExamples(examples: readonly (() => Promise<unknown>)[]): void {
  parentPort?.on('message', (order: ExampleOrder | 'end') => {
    if (order === 'end') parentPort?.close();
    else void run(examples[order.index], order.url).then((answer) => parentPort?.postMessage(answer));
  });
}

async function run(example: (() => Promise<unknown>) | undefined, url: string): Promise<ExampleAnswer> {
  process.env['BOUGH_URL'] = url;
  const output = new PassThrough();
  globalThis.console = new Console({ stdout: output, stderr: output, colorMode: false });
  try {
    await example?.();
    return { printed: String(output.read() ?? '') };
  } catch (error) {
    return { failure: messageOf(error) };
  }
}
