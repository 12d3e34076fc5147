import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { partsTable, pausePartsOf } from './pause-parts.js';
import { pauseTables, pauseVerdicts, summaryOf } from './pause-report.js';
import type { PauseRow } from './pause-row.js';

const rows: PauseRow[] = [
  { mode: 'live-sync', iteration: 1, pause_ms: 2, http_round_trip_ms: 40, completion_ms: 40 },
  { mode: 'full', iteration: 1, pause_ms: 500, http_round_trip_ms: 600, completion_ms: 600 },
  { mode: 'stock-background-snapshot', iteration: 1, pause_ms: 30, completion_ms: 2000 },
  { mode: 'live-sync', iteration: 2, pause_ms: 1, http_round_trip_ms: 30, completion_ms: 30 },
  { mode: 'full', iteration: 2, error: 'no room' },
  { mode: 'stock-background-snapshot', iteration: 2, pause_ms: 40, completion_ms: 2100 },
];

describe('summaryOf()', () => {
  it('counts a row with an error as an attempt', () => {
    const full = summaryOf(rows, 'full', 'pause_ms');
    assert.deepEqual([full?.n, full?.failed, full?.p50, full?.max], [2, 1, 500, Infinity]);
  });

  it('is undefined for what a mode does not have', () => {
    assert.equal(summaryOf(rows, 'stock-background-snapshot', 'http_round_trip_ms'), undefined);
    assert.equal(summaryOf(rows, 'diff', 'pause_ms'), undefined);
  });
});

describe('pauseVerdicts()', () => {
  it('compares medians of one run', () => {
    const measured = new Map(
      pauseVerdicts(rows).map(({ promise, measured: value, held }) => [promise, [value, held]]),
    );
    assert.deepEqual(measured.get('live pause p50 ≤ 1/30 of stock background-snapshot’s'), ['1/30.0', true]);
    assert.deepEqual(measured.get('live pause p50 ≤ 1/200 of full’s'), ['1/500.0', true]);
    assert.deepEqual(measured.get('live pause p99 < 8 ms'), ['2.00 ms', true]);
    assert.equal(measured.has('round trip p50, wait:false, < 20 ms'), false);
    assert.equal(measured.has('STOP to RESUME p50 < 0.35 ms'), false);
  });
});

describe('pauseTables()', () => {
  it('shows each mode that has the column, and ratios against the first live mode', () => {
    const tables = pauseTables(['live-sync', 'full', 'stock-background-snapshot'], rows, false);
    const titles = tables.map(({ title }) => title);
    assert.deepEqual(titles, [
      'Pause window, ms',
      'HTTP round trip, ms',
      'From the request until it can be used, ms',
      'Pause of live-sync relative to the others',
    ]);
    assert.deepEqual(tables[0]?.rows[0], ['live-sync', 2, 0, '2.00', '1.00', '2.00', '2.00', '2.00']);
    assert.deepEqual(tables.at(-1)?.rows, [
      ['full', '1/500.0', 'failed'],
      ['stock-background-snapshot', '1/30.0', '1/20.0'],
    ]);
  });
});

describe('where the pause goes', () => {
  it('is told by the daemon; what QEMU did not tell is left out', () => {
    const facts = { id: 'x', tag: 't', pauseUs: 950, eventsUs: 0, stopUs: 250, residuePages: 7 };
    assert.deepEqual(pausePartsOf(facts), { stop_ms: 0.25, residue_pages: 7 });
  });

  it('is a table of medians, for modes that have any', () => {
    const of = (mode: PauseRow['mode'], stopMs: number): PauseRow => ({
      ...{ mode, iteration: 1, pause_ms: 1, stop_ms: stopMs, residue_pages: 7 },
    });
    const table = partsTable(['live-sync', 'full'], [of('live-sync', 0.1), of('live-sync', 0.3)]);
    assert.deepEqual(table?.rows, [
      ['live-sync', '1.00', undefined, '0.100', undefined, undefined, undefined, undefined, 7, undefined],
    ]);
    assert.equal(partsTable(['live-sync'], rows), undefined);
  });
});
