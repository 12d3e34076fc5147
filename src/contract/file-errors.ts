/** Rows of the error catalogue: what a guest's kernel says of its files. */

export interface FileProblem {
  readonly id: string;
  readonly problem: string;
}

function inFile(what: string, { id, problem }: FileProblem): string {
  return `${what} in sandbox "${id}": ${problem}`;
}

export const fileErrors = {
  file_not_found: {
    status: 404,
    retryable: false,
    message: (a: FileProblem) => inFile('No such file', a),
  },
  file_exists: {
    status: 409,
    retryable: false,
    message: (a: FileProblem) => inFile('Something is there already', a),
  },
  not_a_file: {
    status: 409,
    retryable: false,
    message: (a: FileProblem) => inFile('Not a file', a),
  },
  not_a_folder: {
    status: 409,
    retryable: false,
    message: (a: FileProblem) => inFile('Not a folder', a),
  },
  file_denied: {
    status: 403,
    retryable: false,
    message: (a: FileProblem) => inFile('Not allowed', a),
  },
  file_failed: {
    status: 409,
    retryable: false,
    message: (a: FileProblem) => inFile('Cannot be done', a),
  },
  bad_archive: {
    status: 400,
    retryable: false,
    message: (a: FileProblem) => inFile('Cannot unpack', a),
  },
  guest_disk_full: {
    status: 507,
    retryable: false,
    message: (a: FileProblem) => inFile('No room', a),
  },
  range_not_satisfiable: {
    status: 416,
    retryable: false,
    message: (a: { sizeBytes: number }) => `The file has ${a.sizeBytes} bytes, none of those asked for`,
  },
} as const;
