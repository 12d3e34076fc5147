/** Guest images: definitions, the builder, and what has been built. */
export { buildDefinition, buildImage } from './build.js';
export type { BuildImageOptions } from './build.js';
export { buildDockerfile } from './dockerfile/build.js';
export type { BuildDockerfileOptions } from './dockerfile/build.js';
export { findImage, listImages, wasBuilt } from './catalog.js';
export { DEFAULT_GUEST_DIR, definitionNames, readDefinition } from './definition.js';
export type { ImageDefinition } from './definition.js';
export { ImageBuildFailed, ImageUnknown, ImageUnusable } from './errors.js';
export { AGENT_PORT } from './image.js';
export type { Image, ImageService } from './image.js';
export { importImage } from './import.js';
export type { ImportImageOptions } from './import.js';
export { kernelCmdline } from './kernel-cmdline.js';
export { forTravel, fromTravel, imageFilesIn } from './travel.js';
export type { TravellingImage } from './travel.js';
export { pruneImages, removeImage } from './removal.js';
