// Writes api.md, cli.md, openapi.json and sdk.md in docs/reference from the compiled sources: run `npm run build:ts` first.
import { writeFile } from 'node:fs/promises';
import { apiReference } from '../dist/src/daemon/api-reference.js';
import { openApiDocument } from '../dist/src/daemon/openapi.js';
import { cliReference } from '../dist/src/cli/cli-reference.js';
import { buildProgram } from '../dist/src/cli/program.js';
import { processIo } from '../dist/src/cli/io.js';
import { providers } from '../dist/src/cli/providers.js';
import { sdkReference } from './sdk-reference.mjs';

const docs = new URL('../docs/reference/', import.meta.url);
await writeFile(new URL('api.md', docs), apiReference());
await writeFile(new URL('openapi.json', docs), `${JSON.stringify(openApiDocument(), null, 2)}\n`);
await writeFile(new URL('cli.md', docs), cliReference(buildProgram({ io: processIo(), providers })));
await writeFile(new URL('sdk.md', docs), await sdkReference());
