/** The first of `types` that the header `Accept` names as it is; what would take anything asks for none of them. */
export function acceptedOf(
  types: readonly string[] | undefined,
  accept: string | undefined,
): string | undefined {
  const named = (accept ?? '').split(',').map((each) => each.split(';')[0]?.trim().toLowerCase());
  return types?.find((type) => named.includes(type));
}
