#!/usr/bin/env node
/** The `bough` command. */

import { processIo } from './io.js';
import { run } from './program.js';
import { providers } from './providers.js';

process.exitCode = await run(process.argv.slice(2), { io: processIo(), providers });
