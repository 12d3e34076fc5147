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
  keyedErrors,
  routes,
  sandboxSchema,
  snapshotInfoSchema,
  snapshotSchema,
  statusOf,
  type ErrorCode,
  type RouteDefinition,
} from '../contract/index.js';
import { version } from './version.js';

/** The JSON Schema of OpenAPI 3.1. */
const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

type Json = Readonly<Record<string, unknown>>;

const components = new Map<z.ZodType, string>([
  [snapshotSchema, 'Snapshot'],
  [snapshotInfoSchema, 'SnapshotInfo'],
  [sandboxSchema, 'Sandbox'],
  [errorBodySchema, 'Error'],
]);

/** The whole document. */
export function openApiDocument(): Json & { readonly openapi: '3.1.0' } {
  const paths: Record<string, Record<string, Json>> = {};
  for (const [name, route] of Object.entries<RouteDefinition>(routes)) {
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
        bearer: { type: 'http', scheme: 'bearer', description: 'Needed where the daemon has a token.' },
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
    ...(route.open === true ? { security: [] } : {}),
    parameters: [
      ...parameters('path', route.params),
      ...parameters('query', route.query),
      ...(route.keyed === true ? [idempotencyKey] : []),
    ],
    ...(route.body === undefined ? {} : { requestBody: requestBody(route.body) }),
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

function requestBody(body: z.ZodType): Json {
  const schema = jsonSchema(body, 'input');
  const isRequired = (schema.required ?? []).length > 0;
  return { required: isRequired, content: { 'application/json': { schema } } };
}

function successes(route: RouteDefinition): Record<string, Json> {
  const answers = Object.entries(route.replies).map(([status, body]) => {
    if (body === null) return [status, { description: 'Done; no body.' }];
    const content =
      body === 'text'
        ? { 'text/plain': { schema: { type: 'string' } } }
        : { 'application/json': { schema: reference(body) } };
    return [status, { description: 'The answer.', content }];
  });
  return Object.fromEntries(answers) as Record<string, Json>;
}

/** One response for each status, naming the codes that it may carry. */
function failures(route: RouteDefinition): Record<string, Json> {
  const codes = [
    ...new Set<ErrorCode>([
      ...route.errors,
      ...(route.keyed === true ? keyedErrors : []),
      ...(route.open === true ? [] : commonErrors),
    ]),
  ];
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
