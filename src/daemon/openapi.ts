/**
 * The API as an OpenAPI 3.1 document, made from the route table, the schemas and the error catalogue: what `/openapi.json` answers
 * and docs/reference/openapi.json holds. OpenAPI 3.1 takes JSON Schema as it is, so nothing is said a second time here.
 */
import assert from 'node:assert/strict';
import { z } from 'zod';
import {
  commonErrors,
  errorBodySchema,
  errorCatalogue,
  errorsOf,
  routes,
  fileEntrySchema,
  processSchema,
  sandboxSchema,
  snapshotInfoSchema,
  snapshotSchema,
  takesBytes,
  statusOf,
  type ErrorCode,
  type RouteDefinition,
  type RouteTable,
  type StreamType,
} from '../contract/index.js';
import { version } from './version.js';

/** The JSON Schema of OpenAPI 3.1. */
const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

type Json = Readonly<Record<string, unknown>>;

const components = new Map<z.ZodType, string>([
  [snapshotSchema, 'Snapshot'],
  [snapshotInfoSchema, 'SnapshotInfo'],
  [sandboxSchema, 'Sandbox'],
  [processSchema, 'Process'],
  [fileEntrySchema, 'FileEntry'],
  [errorBodySchema, 'Error'],
]);

/** The whole document. */
export function openApiDocument(table: RouteTable = routes): Json & { readonly openapi: '3.1.0' } {
  const paths: Record<string, Record<string, Json>> = {};
  for (const [name, route] of Object.entries(table)) {
    const path = route.path.replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(name, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'bough',
      version,
      description: 'Sandboxes for AI agents that can be branched while they run.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'Needed where the daemon has a token, for the scope that is named.',
        },
      },
      schemas: Object.fromEntries(
        [...components].map(([schema, name]) => [name, jsonSchema(schema, 'output')]),
      ),
    },
  };
}

function operation(name: string, route: RouteDefinition): Json {
  return {
    operationId: name,
    summary: route.summary,
    tags: [route.resource],
    security: route.open === true ? [] : [{ bearer: [route.scope] }],
    parameters: [
      ...parameters('path', route.params),
      ...parameters('query', route.query),
      ...(route.kind === 'json' && route.keyed === true ? [idempotencyKey] : []),
    ],
    ...requestBody(route),
    responses: { ...successes(route), ...failures(route) },
  };
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same request with the same key makes nothing twice.',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

function parameters(where: 'path' | 'query', schema: z.ZodType | undefined): Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input');
  return Object.entries(properties).map(([name, each]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: each,
  }));
}

function requestBody(route: RouteDefinition): Json {
  if (takesBytes(route)) {
    return { requestBody: { content: { '*/*': { schema: bytes } } } };
  }
  if (route.kind !== 'json' || route.body === undefined) return {};
  const schema = jsonSchema(route.body, 'input');
  const isRequired = (schema.required ?? []).length > 0;
  return { requestBody: { required: isRequired, content: { 'application/json': { schema } } } };
}

/** As OpenAPI 3.1 says it: what is in it is not text of any schema. */
const bytes: Json = {};

function successes(route: RouteDefinition): Record<string, Json> {
  if (route.kind === 'socket') return { 101: { description: 'A WebSocket.' } };
  const answers = Object.entries<z.ZodType | StreamType | null>(route.replies).map(([status, body]) => [
    status,
    body === null
      ? { description: 'Done; no body.' }
      : { description: 'The answer.', ...replyHeaders(route), content: contentOf(body) },
  ]);
  return withStreams(route, Object.fromEntries(answers) as Record<string, Json>);
}

/** Answers with 200 that are streams, beside the one in JSON, if that is a 200 too. */
function withStreams(route: RouteDefinition, answers: Record<string, Json>): Record<string, Json> {
  if (route.kind !== 'json' || route.streams === undefined) return answers;
  const streams: Json = Object.fromEntries(route.streams.map((type) => [type, { schema: bytes }]));
  const { content = {}, ...rest } = answers[200] ?? { description: 'A stream.' };
  return { ...answers, 200: { ...rest, content: { ...(content as Json), ...streams } } };
}

function replyHeaders(route: RouteDefinition): Json {
  if (route.kind !== 'json' || route.replyHeaders === undefined) return {};
  const headers = Object.entries(route.replyHeaders).map(([name, description]) => [
    name,
    { description, schema: { type: 'string' } },
  ]);
  return { headers: Object.fromEntries(headers) as Json };
}

function contentOf(body: z.ZodType | StreamType): Json {
  if (body === 'text') return { 'text/plain': { schema: { type: 'string' } } };
  if (typeof body === 'string') return { [body]: { schema: bytes } };
  if (!(body instanceof z.ZodType)) return Object.assign({}, ...body.map(contentOf)) as Json;
  return { 'application/json': { schema: reference(body) } };
}

/** One response for each status, naming the codes that it may carry. */
function failures(route: RouteDefinition): Record<string, Json> {
  const codes = new Set([...errorsOf(route), ...(route.open === true ? [] : commonErrors)]);
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const status = statusOf({ code, status: errorCatalogue[code].status }, route);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const content = { 'application/json': { schema: reference(errorBodySchema) } };
  return Object.fromEntries(
    [...byStatus].map(([status, each]) => [
      String(status),
      { description: each.map((code) => `\`${code}\``).join(', '), content },
    ]),
  );
}

/** A named schema by its name, also as the items of an array; any other in full. */
function reference(schema: z.ZodType): Json {
  const name = components.get(schema);
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  if (schema instanceof z.ZodArray) return { type: 'array', items: reference(schema.element as z.ZodType) };
  return jsonSchema(schema, 'output');
}

interface ObjectSchema extends Json {
  readonly properties?: Readonly<Record<string, Json>>;
  readonly required?: readonly string[];
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): ObjectSchema {
  // The document as a whole says which JSON Schema it speaks.
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  assert.equal($schema, DIALECT);
  return rest as ObjectSchema;
}
