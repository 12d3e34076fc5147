/** Makes what VM tests share, before any test's clock runs: the images, and the template snapshot. */
import { openTestHost, testImage } from './test-host.js';

await testImage();
const host = await openTestHost();
await host.close();
