/** Timelines of sandboxes, as the outside sees them. */
import type { SnapshotView } from '../../store/index.js';
import type { SandboxView } from '../entity/view.js';
import type { Rollbacks, RollbackSpec } from '../timeline/rollback.js';
import type { CallContext } from './call.js';
import type { HostContext } from './context.js';

export interface TimelinesHost {
  /** On any failure the sandbox runs on as it was. */
  rollback(id: string, spec: RollbackSpec, call: CallContext): Promise<RollbackView>;
}

export interface RollbackView {
  readonly sandbox: SandboxView;
  readonly kept?: SnapshotView;
}

export class Timelines implements TimelinesHost {
  readonly #context: HostContext;
  readonly #rollbacks: Rollbacks;

  constructor(context: HostContext, rollbacks: Rollbacks) {
    this.#context = context;
    this.#rollbacks = rollbacks;
  }

  async rollback(id: string, spec: RollbackSpec, call: CallContext): Promise<RollbackView> {
    const found = this.#context.sandboxes.get(id);
    const { sandbox, ...rest } = await found.lifetime.during(() => this.#rollbacks.run(found, spec, call));
    return { sandbox: sandbox.view(), ...rest };
  }
}
