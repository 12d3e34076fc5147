import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  after,
  lasting,
  refusalOf,
  type Claims,
  type Lasting,
  type Lifecycle,
  type SandboxEvent,
  type SandboxRequest,
} from './lifecycle.js';

const running: Lasting = { state: 'running', isStalled: false };
const stalled: Lasting = { state: 'running', isStalled: true };
const paused: Lasting = { state: 'paused' };
const unresponsive: Lasting = { state: 'unresponsive', why: 'no answer' };
const failed: Lasting = { state: 'failed', why: 'it exited' };
const LASTING = { running, stalled, paused, unresponsive, failed };
const STATES: Readonly<Record<string, Lifecycle>> = {
  ...LASTING,
  removing: { state: 'removing', from: running },
  released: { state: 'released', from: running },
  replaced: { state: 'replaced', from: running },
};

const IDLE: Claims = { isBranching: false, isFolding: false, isEnding: false, isRollingBack: false };
const CLAIMS: Readonly<Record<string, Claims>> = {
  branching: { ...IDLE, isBranching: true },
  folding: { ...IDLE, isFolding: true },
  ending: { ...IDLE, isEnding: true },
  rollback: { ...IDLE, isRollingBack: true },
};

/** For each request what each state answers, in this order; `-` is yes. */
const STATE_ORDER = [
  'running',
  'stalled',
  'paused',
  'unresponsive',
  'failed',
  'removing',
  'released',
  'replaced',
];
const [P, U, F, R] = ['paused', 'unresponsive', 'failed', 'being removed'];
const [L, G] = ['left to the next daemon', 'rolled back'];
const BY_STATE: Readonly<Record<SandboxRequest, readonly string[]>> = {
  use: ['-', '-', P, U, F, R, L, G],
  'ask-for-branch': ['-', '-', '-', U, F, R, L, G],
  pause: ['-', 'stalled', '-', U, F, R, L, G],
  resume: ['-', '-', '-', U, F, R, L, G],
  measure: ['-', '-', '-', U, F, R, L, G],
  'change-lifetime': ['-', '-', '-', '-', '-', R, L, G],
  schedule: ['-', '-', '-', '-', '-', R, L, G],
  'change-network': ['-', '-', '-', '-', F, R, L, G],
  rollback: ['-', '-', '-', U, '-', R, L, G],
  branch: ['-', '-', '-', U, F, R, L, G],
  fold: ['-', '-', '-', U, F, R, L, G],
  merge: ['-', '-', '-', U, F, R, L, G],
  reconcile: ['-', '-', '-', U, F, R, L, G],
  continue: ['not stalled', '-', P, U, F, R, L, G],
  adopt: ['running', 'running', P, '-', F, R, L, G],
  record: ['-', '-', '-', '-', '-', R, '-', G],
};
/** The same for what may be under way in one that is stalled, the state that takes most; for a pause, in one that runs. */
const CLAIM_ORDER = ['branching', 'folding', 'ending', 'rollback'];
const [B, E, K] = ['being branched', 'at its end', 'being rolled back'];
const BY_CLAIM: Readonly<Record<SandboxRequest, readonly string[]>> = {
  use: ['-', '-', E, K],
  'ask-for-branch': ['-', '-', E, K],
  pause: [B, '-', E, K],
  resume: ['-', '-', E, K],
  measure: ['-', '-', '-', '-'],
  'change-lifetime': ['-', '-', E, K],
  schedule: ['-', '-', E, K],
  'change-network': ['-', '-', '-', K],
  rollback: ['-', '-', E, K],
  branch: [B, '-', '-', '-'],
  fold: [B, 'being folded', '-', K],
  merge: ['-', '-', '-', '-'],
  reconcile: ['-', '-', '-', '-'],
  continue: [B, '-', '-', '-'],
  adopt: ['running', 'running', 'running', 'running'],
  record: ['-', '-', '-', '-'],
};
const REQUESTS = Object.keys(BY_STATE) as SandboxRequest[];

describe('what a sandbox takes', () => {
  for (const request of REQUESTS) {
    it(`${request}, in each state and with each thing under way`, () => {
      const inState = (name: string): string => refusalOf(STATES[name] ?? running, IDLE, request) ?? '-';
      assert.deepEqual(STATE_ORDER.map(inState), BY_STATE[request]);
      const state = request === 'pause' ? running : stalled;
      const with_ = (name: string): string => refusalOf(state, CLAIMS[name] ?? IDLE, request) ?? '-';
      assert.deepEqual(CLAIM_ORDER.map(with_), BY_CLAIM[request]);
    });
  }

  it('is never more because something is under way', () => {
    for (const lifecycle of Object.values(STATES)) {
      for (const claims of Object.values(CLAIMS)) {
        for (const request of REQUESTS) {
          const idle = refusalOf(lifecycle, IDLE, request);
          if (idle !== undefined) assert.notEqual(refusalOf(lifecycle, claims, request), undefined);
        }
      }
    }
  });
});

const EVENTS: readonly SandboxEvent[] = [
  { what: 'stalled' },
  { what: 'continued' },
  { what: 'paused' },
  { what: 'resumed' },
  { what: 'vmm-silent', why: 'no answer' },
  { what: 'vmm-exited', why: 'it exited' },
];

describe('what becomes of a sandbox', () => {
  it('is decided by its VMM while it runs, or stands still on request', () => {
    const became = (from: Lasting) => EVENTS.map((event) => after(from, event));
    assert.deepEqual(became(running), [stalled, running, paused, running, unresponsive, failed]);
    assert.deepEqual(became(stalled), [stalled, running, paused, stalled, unresponsive, failed]);
    assert.deepEqual(became(paused), [paused, paused, paused, running, unresponsive, failed]);
  });

  it('is nothing new for who is not connected to its VMM any more', () => {
    for (const [name, lifecycle] of Object.entries(STATES)) {
      if (lifecycle.state === 'running' || lifecycle.state === 'paused') continue;
      for (const event of EVENTS) assert.equal(after(lifecycle, event), lifecycle, `${name}, ${event.what}`);
    }
  });

  it('is its removal, from any state and for good', () => {
    for (const from of Object.values(LASTING)) {
      const removing = after(from, { what: 'removal-begun' });
      assert.deepEqual(removing, { state: 'removing', from });
      assert.equal(lasting(removing), from, 'shown as it was');
      for (const what of ['removal-begun', 'daemon-stops'] as const)
        assert.equal(after(removing, { what }), removing);
      const released = after(from, { what: 'daemon-stops' });
      assert.deepEqual(released, { state: 'released', from });
      assert.deepEqual(after(released, { what: 'removal-begun' }), removing);
    }
  });

  it('is its replacement, from any state, its removal included, and for good', () => {
    for (const from of Object.values(LASTING)) {
      const replaced = after(after(from, { what: 'removal-begun' }), { what: 'replaced' });
      assert.deepEqual(replaced, { state: 'replaced', from });
      assert.deepEqual(after(from, { what: 'replaced' }), replaced);
      for (const what of ['removal-begun', 'daemon-stops'] as const)
        assert.equal(after(replaced, { what }), replaced);
    }
  });
});
