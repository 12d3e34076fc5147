/** Prints the path of Debian 13's QEMU, which is made to be there. */
import { loadConfig } from '../../src/daemon/config.js';
import { debian13, qemuOf } from './debian13.js';

process.stdout.write(qemuOf(await debian13(loadConfig({}, process.env).cacheDir)));
