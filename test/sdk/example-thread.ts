/**
 * A thread that runs examples one after the other, so that the SDK is loaded once for all: it is sent a program's path and the daemon's
 * URL, and answers with what the program printed. Sent nothing more, it ends, if no program has left anything behind that goes on.
 */
import { Console } from 'node:console';
import { PassThrough } from 'node:stream';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../src/base/index.js';

export interface ExampleOrder {
  readonly program: string;
  readonly url: string;
}

export type ExampleAnswer = { readonly printed: string } | { readonly failure: string };

parentPort?.on('message', (order: ExampleOrder | 'end') => {
  if (order === 'end') parentPort?.close();
  else void run(order).then((answer) => parentPort?.postMessage(answer));
});

async function run({ program, url }: ExampleOrder): Promise<ExampleAnswer> {
  process.env['BOUGH_URL'] = url;
  const output = new PassThrough();
  globalThis.console = new Console({ stdout: output, stderr: output, colorMode: false });
  try {
    await import(program);
    return { printed: String(output.read() ?? '') };
  } catch (error) {
    return { failure: messageOf(error) };
  }
}
