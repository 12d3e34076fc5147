/** What can go wrong with a snapshot that travels, as small errors with facts. */

/** What came is not what it must be; `problem` is a clause such as `the blob sha256:… holds something else`. */
export class BadSnapshotArchive extends Error {
  override readonly name = 'BadSnapshotArchive';
  readonly problem: string;
  constructor(problem: string, options?: ErrorOptions) {
    super(`Not a snapshot that can be taken in: ${problem}`, options);
    this.problem = problem;
  }
}

/** Nobody who is trusted here has signed it; `problem` is a clause that says who has. */
export class SnapshotUntrusted extends Error {
  override readonly name = 'SnapshotUntrusted';
  readonly problem: string;
  constructor(problem: string) {
    super(`The snapshot is not trusted: ${problem}`);
    this.problem = problem;
  }
}

/** A program of the host that is needed is not there. */
export class ProgramMissing extends Error {
  override readonly name = 'ProgramMissing';
  readonly program: string;
  readonly debianPackage: string;
  constructor(program: string, debianPackage: string, options?: ErrorOptions) {
    super(`${program} is missing: apt-get install ${debianPackage}`, options);
    this.program = program;
    this.debianPackage = debianPackage;
  }
}

/** A key of this host cannot be used, or what was given is none. */
export class BadKey extends Error {
  override readonly name = 'BadKey';
}

/** Why a registry did not do what it was asked to. */
export type RegistryProblem =
  'malformed' | 'denied' | 'missing' | 'unreachable' | 'no_space' | 'busy' | 'failed';

/** The message is a sentence for whoever asked. */
export class RegistryFailed extends Error {
  override readonly name = 'RegistryFailed';
  readonly kind: RegistryProblem;
  constructor(kind: RegistryProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
