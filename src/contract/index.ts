/** Everything that crosses the wire: schemas, types, the error catalogue, the route table. */

export * from './errors.js';
export * from './events.js';
export * from './fields.js';
export * from './v1/branches.js';
export * from './v1/daemon.js';
export * from './v1/endpoints.js';
export * from './v1/events.js';
export * from './v1/exec.js';
export * from './v1/files.js';
export * from './v1/lifetime.js';
export * from './v1/lists.js';
export * from './v1/processes.js';
export * from './v1/network.js';
export * from './v1/ports.js';
export * from './v1/ready.js';
export * from './v1/route.js';
export * from './v1/routes.js';
export * from './v1/sandboxes.js';
export * from './v1/scopes.js';
export * from './v1/secrets.js';
export * from './v1/service.js';
export * from './v1/snapshots.js';
export * from './v1/stream-types.js';
export * from './v1/streams.js';
export * from './v1/timeline.js';
export * from './v1/watch.js';
