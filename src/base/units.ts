/** Bytes in one MiB. */
export const MiB = 1024 * 1024;
