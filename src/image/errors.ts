/** What can go wrong with an image; the message is a sentence for the user. */

/** There is neither a definition of that name nor an image that was imported under it. */
export class ImageUnknown extends Error {
  override readonly name = 'ImageUnknown';
  readonly image: string;
  readonly known: readonly string[];

  constructor(image: string, known: readonly string[]) {
    super(`There is no image "${image}"; known: ${known.length === 0 ? 'none' : known.join(', ')}`);
    this.image = image;
    this.known = known;
  }
}

/** A definition or a built image is damaged. */
export class ImageUnusable extends Error {
  override readonly name = 'ImageUnusable';
}

/** A build did not succeed; nothing of it is left. */
export class ImageBuildFailed extends Error {
  override readonly name = 'ImageBuildFailed';
  /** What a person may do about it. */
  hint: string | undefined;

  withHint(hint: string | undefined): this {
    this.hint = hint;
    return this;
  }
}
