/** How fast the first calls of a function are. */
import { setFlagsFromString } from 'node:v8';

/**
 * From now on V8 makes machine code, though not the best, of each function that is called for the first time, where it would interpret some hundred
 * calls first. In a process that is asked for something once a second little else ever runs. What has been called before stays as it is.
 */
export function compileAtFirstCall(): void {
  setFlagsFromString('--always-sparkplug');
}
