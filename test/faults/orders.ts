/** Orders to a controlled daemon, and its answers. */
import type { ChildProcess } from 'node:child_process';
import type { Answer, Order } from './controlled-daemon.js';

/** Gives an order, and waits for the answer that `pick` knows; rejects when the daemon ends. */
export function order<T>(
  daemon: ChildProcess,
  what: Order,
  pick: (answer: Answer) => T | undefined,
): Promise<T> {
  const answer = answered(daemon, pick);
  daemon.send(what);
  return answer;
}

/** The next answer that `pick` knows; rejects when the daemon ends. */
export function answered<T>(daemon: ChildProcess, pick: (answer: Answer) => T | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const onMessage = (answer: Answer): void => {
      const picked = pick(answer);
      if (picked === undefined) return;
      stop();
      resolve(picked);
    };
    const onExit = (): void => {
      stop();
      reject(new Error('The daemon ended'));
    };
    const stop = (): void => {
      daemon.off('message', onMessage).off('exit', onExit);
    };
    daemon.on('message', onMessage).on('exit', onExit);
  });
}
