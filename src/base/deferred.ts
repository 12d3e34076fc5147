/** A promise with its `resolve` and `reject` in hand. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: Error) => void;

  constructor() {
    let resolve: ((value: T | PromiseLike<T>) => void) | undefined;
    let reject: ((reason: Error) => void) | undefined;
    this.promise = new Promise<T>((onResolve, onReject) => {
      resolve = onResolve;
      reject = onReject;
    });
    if (resolve === undefined || reject === undefined) throw new Error('Promise executor did not run');
    this.resolve = resolve;
    this.reject = reject;
  }
}
