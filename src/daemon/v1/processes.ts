/** Handlers: kept processes of a sandbox. */

import { compact } from '../../base/index.js';
import { BoughError, STREAM_TYPES, type StartProcessRequest } from '../../contract/index.js';
import type { StartRequest } from '../../agent/index.js';
import type { Host } from '../../sandbox/host/host.js';
import { acceptedOf } from '../rows/accepted.js';
import type { Handlers } from '../rows/handlers.js';
import { begun } from '../streams/begun.js';
import { frameOf } from '../streams/frames.js';
import { wireErrorOf, outputStream } from '../streams/output.js';
import { framesFrom, sendMessage } from '../streams/socket.js';
import { signalNumber, wireProcess } from './process-answers.js';
import { toMs } from './requests.js';
import { knownForm } from './sandbox-id.js';

type ProcessRoute =
  | 'startProcess'
  | 'listProcesses'
  | 'getProcess'
  | 'processOutput'
  | 'processInput'
  | 'signalProcess'
  | 'resizeProcess'
  | 'attachProcess';

export function processHandlers({ processes }: Host): Pick<Handlers, ProcessRoute> {
  return {
    async startProcess({ params, body, streamType }, call) {
      const [id, kill] = [knownForm(params), body.on_disconnect === 'kill'];
      if (streamType === undefined && kill) {
        const problem = 'can be "kill" only where the answer is a stream';
        throw new BoughError('invalid_request', { field: 'on_disconnect', problem });
      }
      if (streamType === undefined) return wireProcess(await processes.start(id, startSpec(body), call));
      const events = await begun(processes.startAttached(id, { ...startSpec(body), kill }, call));
      return outputStream(events, { type: streamType, wireError: wireErrorOf(call.requestId) });
    },
    listProcesses: async ({ params }, call) =>
      (await processes.list(knownForm(params), call)).map(wireProcess),
    getProcess: async ({ params }, call) => wireProcess(await processes.get(known(params), call)),
    async processOutput({ params, query, headers }, call) {
      const which = known(params);
      // That there is none is to be an answer of its own.
      await processes.get(which, call);
      const { stdout_from: stdoutFrom, stderr_from: stderrFrom, follow } = query;
      const events = processes.output(which, { stdoutFrom, stderrFrom, follow }, call);
      const type = acceptedOf(STREAM_TYPES, headers.accept) ?? STREAM_TYPES[0];
      return outputStream(events, { type, wireError: wireErrorOf(call.requestId) });
    },
    async processInput({ params, query, body }, call) {
      const stdinBytes = await processes.feed(known(params), { input: body, eof: query.eof }, call);
      return { headers: { 'bough-stdin-bytes': String(stdinBytes) } };
    },
    async signalProcess({ params, body }, call) {
      const number = signalNumber(body.signal);
      if (number === undefined)
        throw new BoughError('invalid_request', { field: 'signal', problem: 'is no signal of Linux' });
      await processes.signal(known(params), number, call);
      return undefined;
    },
    async resizeProcess({ params, body }, call) {
      await processes.resize(known(params), body, call);
      return undefined;
    },
    async attachProcess({ params, query, socket }, call) {
      const { stdout_from: stdoutFrom, stderr_from: stderrFrom } = query;
      const frames = framesFrom(socket);
      for await (const event of processes.attach(known(params), { stdoutFrom, stderrFrom, frames }, call))
        await sendMessage(socket, frameOf(event));
    },
  };
}

function known(params: { id: string; pid: number }): { id: string; pid: number } {
  return { id: knownForm(params), pid: params.pid };
}

function startSpec(request: StartProcessRequest): StartRequest {
  const { args = [], shell, env, cwd, user, pty, stdin, timeout_secs, tag } = request;
  const program = shell === undefined ? args : ['sh', '-c', shell];
  return compact({ args: program, env, cwd, user, pty, stdin, timeoutMs: toMs(timeout_secs), tag });
}
