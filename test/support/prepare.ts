/**
 * Makes what VM tests share, before any test's clock runs: the image, and the template snapshot, durable, so that
 * no test needs to open the shared store for it while another has it open. With `--release`, after the last test:
 * leaves of it only what is on disk.
 */
import { durableTemplate } from './template-copy.js';
import { forgetHotTemplate, testImage } from './test-host.js';

if (process.argv.includes('--release')) await forgetHotTemplate();
else {
  await testImage();
  await durableTemplate();
}
