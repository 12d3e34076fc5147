/** Where a call goes: a route's path with its parameters, and what is asked in its query. */

/** Values of a path's parameters. */
export type PathValues = Readonly<Record<string, string | number>>;

/** Values of a query; undefined is as if it were not given. */
export type QueryValues = Readonly<Record<string, string | number | boolean | undefined>>;

/** The path of a route, `:name` for `:name`. Throws TypeError for what is no name, and would call another route. */
export function fillPath(path: string, params: PathValues): string {
  return path.replace(/:(\w+)/g, (_, name: string) => {
    const value = String(params[name] ?? '');
    if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(value))
      throw new TypeError(`Not a valid ${name}: ${JSON.stringify(value)}`);
    return value;
  });
}

/** With its question mark. A flag that is not set is left out, like a value that is not given. */
export function queryString(query: QueryValues): string {
  const values = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== false) values.set(name, String(value));
  return values.size === 0 ? '' : `?${values.toString()}`;
}
