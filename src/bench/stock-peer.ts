/** The peer of a benchmark: the image it is about, booted in stock QEMU. */
import type { ResourceStack } from '../base/index.js';
import { findImage } from '../image/index.js';
import type { BenchContext } from './context.js';
import { StockMachine } from './stock-machine.js';

/** Boots it; it ends with `resources`. Throws when the image has not been built here. */
export async function bootStockPeer(
  context: BenchContext,
  resources: ResourceStack,
  { network = 'restricted' }: { readonly network?: 'restricted' | 'unrestricted' } = {},
): Promise<StockMachine> {
  const { cacheDir, qemuPath, accelerator, image: name, signal, say } = context;
  say('booting the same image in stock QEMU');
  const image = await findImage(cacheDir, name);
  if (image === undefined) throw new Error(`Stock QEMU needs image "${name}": bough image build ${name}`);
  return resources.use(
    await StockMachine.boot({ image, cacheDir, qemuPath, wanted: accelerator, network, signal }),
  );
}
