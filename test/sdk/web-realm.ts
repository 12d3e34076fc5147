/**
 * Runs the built SDK in a realm that has the language and, by name, APIs that every web runtime has (browsers, Deno, Bun): no `process`, no `Buffer`,
 * no module but its own. Prints what came of a few calls. Needs --experimental-vm-modules.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createContext, SourceTextModule, type Context, type Module } from 'node:vm';

const WEB_APIS = {
  ...{ AbortController, AbortSignal, DOMException, Headers, ReadableStream, Request, Response },
  ...{ TextDecoder, TextEncoder, URL, URLSearchParams, clearTimeout, setTimeout, atob, btoa },
};
/** Of the language; a realm has its own, which are not those of what the APIs above give. */
const LANGUAGE = { ArrayBuffer, Error, Promise, Uint8Array };

const PROGRAM = `
  const bough = new Bough({ fetch: answer });
  const sandbox = await bough.spawn('base');
  report.sandbox = sandbox.id;
  report.printed = '';
  for await (const piece of sandbox.execStream(['echo']))
    if (piece.type === 'stdout') report.printed += piece.text;
  await sandbox.files.write('/note', (async function* () { yield new Uint8Array([104, 105]); })());
  const error = await sandbox.info().catch((error) => error);
  report.error = error.code;
  report.url = bough.transport.url;
`;

function frame(kind: number, payload: string): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(kind);
  header.writeUInt32BE(payload.length, 1);
  return Buffer.concat([header, Buffer.from(payload)]);
}

/** The daemon. */
async function answer(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  if (pathname.endsWith('/sandboxes')) return Response.json([{ id: 's1' }], { status: 201 });
  if (pathname.endsWith('/exec'))
    return new Response(Buffer.concat([frame(3, 'hello'), frame(9, '{"exit_code":0}')]));
  if (!pathname.endsWith('/files'))
    return Response.json({ error: 'gone', code: 'sandbox_not_found' }, { status: 404 });
  assert.equal(await new Response(init.body).text(), 'hi');
  return new Response(null, { status: 204 });
}

const modules = new Map<string, Module>();

async function load(url: URL, context: Context): Promise<Module> {
  const known = modules.get(url.href);
  if (known !== undefined) return known;
  const loaded = new SourceTextModule(await readFile(url, 'utf8'), { context, identifier: url.href });
  modules.set(url.href, loaded);
  return loaded;
}

async function link(specifier: string, { identifier, context }: Module): Promise<Module> {
  assert.match(specifier, /^\.\.?\//, `${identifier} imports ${specifier}`);
  return load(new URL(specifier, identifier), context);
}

const report: Record<string, unknown> = {};
const context = createContext({ ...WEB_APIS, ...LANGUAGE, answer, report });
const sdk = await load(new URL('../../src/sdk/index.js', import.meta.url), context);
const program = new SourceTextModule(`import { Bough } from '${sdk.identifier}'; ${PROGRAM}`, {
  context,
  identifier: `${import.meta.url}#program`,
});
await program.link((specifier, from) => (specifier === sdk.identifier ? sdk : link(specifier, from)));
await program.evaluate();
console.log(JSON.stringify({ ...report, modules: modules.size }));
