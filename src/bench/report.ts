/** A whole run as text, as Markdown, as CSV, and as files. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatCsv } from './csv.js';
import { hostLines, type HostFacts, type HostLoad } from './host-facts.js';
import { sectionMarkdown, sectionText, verdictWord, type Section } from './section.js';

export interface BenchResult {
  readonly host: HostFacts;
  readonly load: HostLoad;
  readonly sections: readonly Section[];
}

/** Host facts and sections for a terminal. */
export function resultText({ host, load, sections }: BenchResult): string {
  return [`${hostLines(host, load).join('\n')}\n`, ...sections.map(sectionText)].join('\n');
}

/** The same as a Markdown page, the verdicts of all sections first. */
export function resultMarkdown({ host, load, sections }: BenchResult): string {
  const facts = hostLines(host, load).map((line) => `* ${line}\n`);
  const verdicts = sections
    .flatMap((section) => section.verdicts)
    .map((verdict) => `* ${verdictWord(verdict)}: ${verdict.promise}: ${verdict.measured}\n`);
  return [
    `# Benchmark report\n\n${facts.join('')}`,
    `## Promises\n\n${verdicts.join('')}`,
    ...sections.map(sectionMarkdown),
  ].join('\n');
}

/** Rows of one section as CSV. */
export function sectionCsv({ csv }: Section): string {
  return formatCsv(csv.columns, csv.rows);
}

/** Writes report.md, result.json and one CSV a section into `dir`; resolves with the report's path. */
export async function writeReport(result: BenchResult, dir: string): Promise<string> {
  await mkdir(dir, { recursive: true });
  for (const section of result.sections)
    await writeFile(join(dir, `${section.name}.csv`), sectionCsv(section));
  await writeFile(join(dir, 'result.json'), `${JSON.stringify(result, null, 2)}\n`);
  const path = join(dir, 'report.md');
  await writeFile(path, resultMarkdown(result));
  return path;
}

/** Whether a promise that decides was missed. */
export function missedAny({ sections }: BenchResult): boolean {
  return sections.some(({ verdicts }) => verdicts.some(({ held, decides }) => decides && !held));
}
