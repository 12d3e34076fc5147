/**
 * What an image says of the programs in it: the image configuration of the OCI image specification, as far as a guest goes by it.
 *
 * `USER`, `ENV` and `WORKDIR` hold for everything that is run in its guests; the command is only run when somebody asks for that.
 */
import { z } from 'zod';

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Text that can reach a system call. */
const words = z.array(z.string().refine((text) => !text.includes('\0'), 'must not contain NUL'));

/** Producers write null for what they leave out. */
const orAbsent = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined);

const healthcheckSchema = z.object({ Test: orAbsent(words) });

/** The image's own question whether it is well. */
export type Healthcheck = z.infer<typeof healthcheckSchema>;

export const imageConfigSchema = z.object({
  os: z.string(),
  architecture: z.string(),
  config: orAbsent(
    z.object({
      User: orAbsent(z.string().max(256)),
      Env: orAbsent(words),
      WorkingDir: orAbsent(z.string().max(4095)),
      Entrypoint: orAbsent(words),
      Cmd: orAbsent(words),
      ExposedPorts: orAbsent(z.record(z.string(), z.unknown())),
      Healthcheck: orAbsent(healthcheckSchema),
    }),
  ),
});

export type ImageConfig = z.infer<typeof imageConfigSchema>;

/** How programs run in the guests of an image that says so. */
export const guestDefaultsSchema = z.object({
  /** As in an image: a name or number, with `:group` perhaps; empty for root. */
  user: z.string(),
  env: z.record(z.string(), z.string()),
  cwd: z.string().startsWith('/'),
  /** Entry point and command, together. */
  command: words,
  /** TCP ports that it says it serves, in order. */
  ports: z.array(z.int().min(1).max(65_535)),
  /** Its command for whether it is well, as argv; absent without one. */
  healthcheck: words.optional(),
});

export type GuestDefaults = z.infer<typeof guestDefaultsSchema>;

/** `asked`: the health check, where it was not found in the configuration itself. */
export function guestDefaults({ config }: ImageConfig, asked?: Healthcheck): GuestDefaults {
  const said: Partial<NonNullable<typeof config>> = config ?? {};
  const { User = '', Env = [], WorkingDir = '', Entrypoint = [], Cmd = [], ExposedPorts = {} } = said;
  const healthcheck = testCommand((said.Healthcheck ?? asked)?.Test ?? []);
  return {
    user: User,
    env: { PATH: DEFAULT_PATH, ...environment(Env) },
    cwd: WorkingDir.startsWith('/') ? WorkingDir : `/${WorkingDir}`,
    command: [...Entrypoint, ...Cmd],
    ports: tcpPorts(Object.keys(ExposedPorts)),
    ...(healthcheck && { healthcheck }),
  };
}

function environment(entries: readonly string[]): Record<string, string> {
  const pairs = entries.map((entry) => {
    const at = entry.indexOf('=');
    return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
  });
  return Object.fromEntries(pairs.filter(([name]) => name !== '')) as Record<string, string>;
}

/** `5432/tcp`, or without the protocol, which is TCP then. */
function tcpPorts(names: readonly string[]): number[] {
  const ports = names.map((name) => Number(/^(\d{1,5})(\/tcp)?$/.exec(name)?.[1] ?? 0));
  return ports.filter((port) => port > 0 && port <= 65_535).sort((a, b) => a - b);
}

function testCommand([kind, ...args]: readonly string[]): string[] | undefined {
  if (kind === 'CMD') return args;
  return kind === 'CMD-SHELL' ? ['/bin/sh', '-c', args.join(' ')] : undefined;
}
