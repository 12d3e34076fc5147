/**
 * That a request is still being worked on, said while there is no answer yet: `102 Processing`, to who asks for it with `Prefer: processing`.
 *
 * A client gives up on a request that nothing comes for, and cannot tell one that waits for a guest from one that is lost. Not everybody is
 * told unasked, since some libraries take any status for the answer.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';

export function tellWhatIsUnderWay(app: FastifyInstance, everyMs: number): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (isWanted(request)) {
      const timer = setInterval(() => {
        if (!reply.raw.headersSent) reply.raw.writeProcessing();
      }, everyMs);
      timer.unref();
      reply.raw.once('close', () => clearInterval(timer));
    }
    done();
  });
}

/** HTTP/1.0 knows nothing between a request and its answer, and what is upgraded is HTTP no more. */
function isWanted({ headers, raw }: FastifyRequest): boolean {
  const wishes = [headers['prefer']].flat().join(',').toLowerCase().split(',');
  const asks = wishes.some((wish) => wish.trim() === 'processing');
  return asks && headers.upgrade === undefined && raw.httpVersion === '1.1';
}
