/** Content types of streams, apart from the schemas as `endpoints.ts` is. */

export const FRAMES_TYPE = 'application/vnd.bough.frames';
export const NDJSON_TYPE = 'application/x-ndjson';

/** Forms of a guest's output: for people and curl first. */
export const STREAM_TYPES = [NDJSON_TYPE, FRAMES_TYPE] as const;
