/** What single settings may hold: paths, sizes, addresses, ranges of users. */
import { isIPv4, isIPv6 } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import type { UidRange } from '../vmm/process/vmm-user.js';

export const absolutePath = z
  .string()
  .refine(isAbsolute, 'must be an absolute path')
  .refine((path) => !path.includes('\0'), 'must not contain NUL');

const sizeUnits = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 } as const;

/** Bytes, or a number with K, M, G or T, all binary; `GiB` and `GB` mean the same as `G`. */
export const size = z.string().transform((text, context) => {
  const match = /^(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?$/i.exec(text);
  const unit = sizeUnits[(match?.[2] ?? '').toUpperCase() as keyof typeof sizeUnits];
  const bytes = Math.floor(Number(match?.[1]) * unit);
  if (bytes > 0 && bytes <= Number.MAX_SAFE_INTEGER) return bytes;
  context.addIssue({ code: 'custom', message: 'must be a size, such as 500M or 50G' });
  return z.NEVER;
});

export const dnsServers = z.string().transform((text, context) => {
  const servers = text.split(',').map((server) => server.trim());
  if (servers.every(isServer)) return servers;
  context.addIssue({ code: 'custom', message: 'must be addresses, such as 10.0.0.53,[fd00::53]:5353' });
  return z.NEVER;
});

/** Origins of pages, as browsers send them. */
export const origins = z.string().transform((text, context): ReadonlySet<string> => {
  const all = text.split(',').map((origin) => origin.trim());
  if (text.trim() === '') return new Set();
  if (all.every(isOrigin)) return new Set(all);
  context.addIssue({
    code: 'custom',
    message: 'must be origins, such as https://a.example,http://localhost:3000',
  });
  return z.NEVER;
});

const MAX_UID = 2 ** 32 - 2;

export const uidRange = z.string().transform((text, context): UidRange => {
  const match = /^(\d{1,10})-(\d{1,10})$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (first > 0 && last > first && last <= MAX_UID) return { first, last };
  context.addIssue({ code: 'custom', message: 'must be two uids above 0, such as 200000-265535' });
  return z.NEVER;
});

/** Of a file, and of a sandboxed page, the origin is `null`, which is everybody's. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

/** An address, with a port or without, as `dns.setServers` takes it. */
function isServer(server: string): boolean {
  const [, v6, v4 = '', port = '53'] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(server) ?? [];
  const isAddress = v6 === undefined ? isIPv4(v4) || isIPv6(server) : isIPv6(v6);
  return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
}
