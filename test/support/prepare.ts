/**
 * Makes what VM tests share, before any test's clock runs: the image, and the template snapshot. With
 * `--release`, after the last test: leaves of it only what is on disk.
 */
import { forgetHotTemplate, openTestHost, testImage } from './test-host.js';

if (process.argv.includes('--release')) await forgetHotTemplate();
else {
  await testImage();
  const host = await openTestHost();
  await host.close();
}
