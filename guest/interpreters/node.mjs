/*
 * Warm Node.js interpreter: evaluates code in one vm context, for ever.
 *
 * JSON lines on the socket whose number is in BOUGH_FD: says {"ready":true}, answers {"code":...} with {"result", "error",
 * "exit_code"}, takes {"changes":...} in the environment (null: it is gone) without an answer. Code is a script whose last value is the
 * result, as util.inspect shows it, null for undefined; {a: 1} is an object and not a block; a promise is waited for. SIGINT interrupts
 * the code, and only the code.
 */
import { createRequire } from 'node:module';
import net from 'node:net';
import util from 'node:util';
import vm from 'node:vm';

const MAX_TEXT_CHARACTERS = 1 << 20;

const control = new net.Socket({ fd: Number(process.env.BOUGH_FD), readable: true, writable: true });
delete process.env.BOUGH_FD;
// Code that forks (cluster) starts what it names, never this file over again.
process.argv.length = 1;

function newContext() {
  const sandbox = { require: createRequire(`${process.cwd()}/`), console, process };
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (!(name in sandbox) && !NOT_SHARED.has(name)) {
      sandbox[name] = globalThis[name];
    }
  }
  const context = vm.createContext(sandbox);
  context.globalThis = context;
  context.global = context;
  return context;
}

// A context has its own of the language's objects; sharing these would make [] instanceof Array false.
const NOT_SHARED = new Set([
  ...vm.runInNewContext('Object.getOwnPropertyNames(globalThis)'),
  'global',
  'globalThis',
]);

function parse(code) {
  if (code.trimStart().startsWith('{')) {
    try {
      return new vm.Script(`(${code}\n)`, { filename: '<eval>' });
    } catch {
      // A block, then.
    }
  }
  return new vm.Script(code, { filename: '<eval>' });
}

let interruptWait = null;

async function settle(value) {
  if (typeof value?.then !== 'function') {
    return value;
  }
  const interrupted = new Promise((_resolve, reject) => {
    interruptWait = () => reject(new Error('interrupted'));
  });
  try {
    return await Promise.race([value, interrupted]);
  } finally {
    interruptWait = null;
  }
}

async function evaluate(code) {
  try {
    const value = await settle(parse(code).runInContext(context, { breakOnSigint: true }));
    return { result: value === undefined ? null : shortened(util.inspect(value)), error: null, exit_code: 0 };
  } catch (error) {
    return { result: null, error: shortened(describe(error)), exit_code: 1 };
  }
}

function shortened(text) {
  const leftOut = text.length - MAX_TEXT_CHARACTERS;
  return leftOut <= 0 ? text : `${text.slice(0, MAX_TEXT_CHARACTERS)}... (${leftOut} more characters)`;
}

function describe(error) {
  if (typeof error?.stack !== 'string') {
    return util.inspect(error);
  }
  const lines = error.stack.split('\n');
  return lines.filter((line) => !line.includes(import.meta.url) && !/^\s+at .*\bnode:/.test(line)).join('\n');
}

function changeEnvironment(changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) {
      delete process.env[name];
    } else {
      process.env[name] = value;
    }
  }
}

async function take(line) {
  const message = JSON.parse(line);
  if (message.changes !== undefined) {
    changeEnvironment(message.changes);
    return;
  }
  control.write(`${JSON.stringify(await evaluate(message.code))}\n`);
}

process.on('SIGINT', () => interruptWait?.());
process.on('uncaughtException', (error) => console.error(error));
process.on('unhandledRejection', (error) => console.error(error));

const context = newContext();
let received = '';
let last = Promise.resolve();
control.setEncoding('utf8');
control.on('data', (text) => {
  const lines = (received + text).split('\n');
  received = lines.pop();
  for (const line of lines) {
    last = last.then(() => take(line));
  }
});
control.on('end', () => process.exit(0));
evaluate('1 + 1').then(() => control.write('{"ready":true}\n'));
