/**
 * Run by npm after it has installed this package. `npm install -g .` in a clone puts a link to the clone on
 * the PATH, so all that the link leads to has to be made; every other install is somebody's own business.
 */
import { runMain, setup } from './setup.mjs';

if (process.env.npm_config_global === 'true') {
  await runMain(async () => {
    await setup();
    return 0;
  });
}
