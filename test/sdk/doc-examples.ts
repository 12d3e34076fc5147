/**
 * The examples in the SDK's doc comments, as programs.
 *
 * An example has every name that `bough/sdk` exports, a client `bough` and a `controller` of the daemon that BOUGH_URL names. What a line
 * with `console.log(…)` prints stands behind it as a comment, and, where it prints more than once, in comments below.
 */
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import ts from 'typescript';
import type { ExampleAnswer, ExampleOrder } from './example-thread.js';

/** The project's root, seen from dist/test/sdk. */
export const PROJECT_DIR = join(import.meta.dirname, '../../..');

export interface DocExample {
  /** What it is an example of, such as `Sandbox.exec`. */
  readonly subject: string;
  readonly code: string;
  /** What it has to print, a line for each `console.log`. */
  readonly printed: readonly string[];
}

/** A file's documented declarations, each with its first example, if it has one. */
export interface Documented {
  readonly subject: string;
  readonly example: DocExample | undefined;
}

/** Exported declarations of a source, and the public methods of its classes. */
export function documentedIn(path: string, text: string): Documented[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const exported = file.statements.filter(
    (node) =>
      ts.canHaveModifiers(node) &&
      ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) === true,
  );
  return exported.flatMap((node) => {
    const owner = nameOf(node);
    const methods = ts.isClassDeclaration(node) ? node.members.filter(isPublicMethod) : [];
    return [
      documented(owner, node),
      ...methods.map((method) => documented(`${owner}.${nameOf(method)}`, method)),
    ];
  });
}

function documented(subject: string, node: ts.Node): Documented {
  const tag = ts.getJSDocTags(node).find(({ tagName }) => tagName.text === 'example');
  const comment = ts.getTextOfJSDocComment(tag?.comment) ?? '';
  const code = /```ts\n(.*)```/s.exec(comment)?.[1];
  return { subject, example: code === undefined ? undefined : { subject, code, printed: printedBy(code) } };
}

function printedBy(code: string): string[] {
  const printed: string[] = [];
  let isBelow = false;
  for (const line of code.split('\n')) {
    const isPrint = line.includes('console.log(');
    const more = /^\s*\/\/ (.+)$/.exec(line)?.[1];
    if (isPrint) printed.push(/; \/\/ (.+)$/.exec(line)?.[1] ?? '(the example does not say)');
    else if (isBelow && more !== undefined) printed.push(more);
    isBelow = isPrint || (isBelow && more !== undefined);
  }
  return printed;
}

function nameOf(node: ts.Node): string {
  return ts.getNameOfDeclaration(node as ts.Declaration)?.getText() ?? '?';
}

function isPublicMethod(node: ts.ClassElement): boolean {
  return ts.isMethodDeclaration(node) && ts.isIdentifier(node.name);
}

/** Compiled examples, and the folder that they lie in. */
export class ExamplePrograms {
  readonly #dir: string;
  readonly problems: readonly string[];

  readonly #thread: Worker;

  private constructor(dir: string, problems: readonly string[]) {
    this.#dir = dir;
    this.problems = problems;
    // Node 20 has a WebSocket only when it is asked for.
    const execArgv = ['--experimental-websocket'];
    this.#thread = new Worker(join(dir, 'thread.mjs'), { env: { BOUGH_TOKEN: '' }, execArgv });
  }

  /** Compiles all at once, as a user's compiler would, with the strictest settings. */
  static async compile(
    examples: readonly DocExample[],
    exportedNames: readonly string[],
  ): Promise<ExamplePrograms> {
    // Inside the project, so that `bough/sdk` is found by the package's own name.
    const dir = await mkdtemp(join(PROJECT_DIR, 'dist/doc-examples-'));
    const head = `import { ${exportedNames.join(', ')} } from 'bough/sdk';
const bough = new Bough();
const controller = new Controller();
`;
    const paths = examples.map((_, index) => join(dir, `${index}.mts`));
    await Promise.all(paths.map((path, index) => writeFile(path, `${head}${examples[index]?.code ?? ''}`)));
    const program = ts.createProgram(paths, await compilerOptions());
    const problems = ts.getPreEmitDiagnostics(program).map((each) => {
      const index = paths.indexOf(each.file?.fileName ?? '');
      return `${examples[index]?.subject ?? each.file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(each.messageText, ' ')}`;
    });
    program.emit();
    const imports = paths.map((_, index) => `() => import('./${index}.mjs')`);
    const thread = `import { runExamples } from '../test/sdk/example-thread.js';
runExamples([${imports.join(', ')}]);
`;
    await writeFile(join(dir, 'thread.mjs'), thread);
    return new ExamplePrograms(dir, problems);
  }

  /** What the example prints, with the daemon there; one at a time. */
  async run(index: number, url: string): Promise<string> {
    this.#thread.postMessage({ index, url } satisfies ExampleOrder);
    const [answer] = (await once(this.#thread, 'message')) as [ExampleAnswer];
    if ('failure' in answer) throw new Error(answer.failure);
    return answer.printed.trimEnd();
  }

  /** Waits until nothing of them goes on. */
  async end(): Promise<void> {
    const exited = once(this.#thread, 'exit');
    this.#thread.postMessage('end');
    await exited;
  }

  async remove(): Promise<void> {
    await this.#thread.terminate();
    await rm(this.#dir, { recursive: true });
  }
}

async function compilerOptions(): Promise<ts.CompilerOptions> {
  const path = join(PROJECT_DIR, 'tsconfig.base.json');
  const { config } = ts.parseConfigFileTextToJson(path, await readFile(path, 'utf8')) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      ...{ composite: false, verbatimModuleSyntax: false, isolatedModules: false, sourceMap: false },
      ...{ outDir: undefined, rootDir: undefined, lib: ['ES2023', 'DOM', 'ESNext.Disposable'], types: [] },
    },
    PROJECT_DIR,
  );
  return options;
}
