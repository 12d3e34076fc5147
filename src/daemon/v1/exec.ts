/** Handler: exec. Its answer can be large, so it is written as JSON while the program prints. */

import type { Host } from '../../sandbox/host/host.js';
import { JsonBytes, type Handler } from '../rows/handlers.js';
import { wireErrorOf, outputStream } from '../streams/output.js';
import { JsonText } from './json-text.js';
import { program } from './requests.js';
import { knownForm } from './sandbox-id.js';

export function execHandler(host: Host): Handler<'exec'> {
  return async ({ params, body, streamType }, call) => {
    if (streamType !== undefined) {
      const events = host.execStream(knownForm(params), program(body), call);
      return outputStream(events, { type: streamType, wireError: wireErrorOf(call.requestId) });
    }
    const output = { stdout: new JsonText(), stderr: new JsonText() };
    const onOutput = (stream: keyof typeof output, bytes: Buffer): void => output[stream].add(bytes);
    const ended = await host.exec(knownForm(params), { ...program(body), onOutput }, call);
    // What a host did not give as it came.
    for (const stream of ['stdout', 'stderr'] as const) output[stream].add(Buffer.from(ended[stream]));
    const { stdout, stderr } = output;
    const truncated = ended.truncated || stdout.truncated || stderr.truncated;
    return new JsonBytes([
      ...[Buffer.from('{"stdout":'), ...stdout.end()],
      ...[Buffer.from(',"stderr":'), ...stderr.end()],
      Buffer.from(`,"exit_code":${ended.exitCode},"truncated":${truncated}}`),
    ]);
  };
}
