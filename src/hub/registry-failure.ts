/** What skopeo said when it failed, and what that means. */
import { RegistryFailed, type RegistryProblem } from './errors.js';
import { hostOf, type Remote } from './remote.js';

/** The first that fits. A blob that is not there is no snapshot that is not there: what names it is. */
const SIGNS: readonly (readonly [RegistryProblem, RegExp])[] = [
  ['no_space', /no space left on device|disk quota exceeded/i],
  [
    'denied',
    /unauthorized|authentication required|\bdenied\b|invalid username\/password|forbidden|status code.* 40[13]\b/i,
  ],
  ['failed', /blob unknown|(reading|fetching) (config )?blob.*\b404\b/i],
  ['missing', /manifest unknown|name unknown|not found|status(code)?:? 404/i],
  [
    'unreachable',
    /no such host|connection refused|network is unreachable|no route to host|i\/o timeout|connection reset|server misbehaving|\bEOF\b/i,
  ],
];

export function failureOf(said: string, remote: Remote): RegistryFailed {
  const kind = SIGNS.find(([, sign]) => sign.test(said))?.[0] ?? 'failed';
  return new RegistryFailed(kind, words(kind, lastLine(said), remote));
}

function words(kind: RegistryProblem, line: string, remote: Remote): string {
  const host = hostOf(remote);
  switch (kind) {
    case 'denied':
      return `${host} wants a password, or another one: use \`skopeo login ${host}\`, or --authfile (${line})`;
    case 'missing':
      return `There is no ${remote.repository}:${remote.name} (${line})`;
    case 'unreachable':
      return `${host} cannot be reached, or broke off (${line})`;
    case 'no_space':
      return `There is no room here for what ${host} sends (${line})`;
    default:
      return `Cannot copy from or to ${host}: ${line}`;
  }
}

/** Without what logs put around it. */
function lastLine(said: string): string {
  const line = said.trim().split('\n').at(-1) ?? '';
  return line
    .replace(/^time="[^"]*" level=\w+ msg="?/, '')
    .replace(/"$/, '')
    .replaceAll('\\"', '"');
}
