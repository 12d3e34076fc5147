/** Everything that crosses the wire: schemas, types, the error catalogue, the route table. */

export * from './branch.js';
export * from './daemon.js';
export * from './endpoints.js';
export * from './errors.js';
export * from './events.js';
export * from './fields.js';
export * from './gc.js';
export * from './lifetime.js';
export * from './routes.js';
export * from './sandbox.js';
export * from './snapshot.js';
