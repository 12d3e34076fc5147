/** What whoever runs this host wants guests to boot under; `auto` finds out. In a file of its own: the command line reads no more of it. */
export const WANTED_ACCELERATORS = ['auto', 'kvm', 'tcg'] as const;
export type WantedAccelerator = (typeof WANTED_ACCELERATORS)[number];
