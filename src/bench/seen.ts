/**
 * The pause by two witnesses that are not ours: a clock inside the guest, and TCP from outside. Few
 * iterations, apart from the pause benchmark proper, because both witnesses keep the guest busy.
 */
import type { BenchContext } from './context.js';
import { benchPause } from './pause.js';
import type { PauseMode } from './request.js';
import type { Section } from './section.js';

const modes: readonly PauseMode[] = ['control', 'live-sync', 'full', 'stock-background-snapshot'];

export function benchSeen(context: BenchContext): Promise<Section> {
  return benchPause(context, { modes, probes: true });
}
