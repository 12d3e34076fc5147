/**
 * What a service manager is told that waits for it (`Type=notify` of systemd): that requests are answered.
 *
 * Node has no datagram sockets with a path, so systemd's own program does it. As root's it speaks for the process that started it, so the manager
 * need not listen to anybody else (`NotifyAccess=main`), a VMM least of all.
 */
import { spawn } from 'node:child_process';

/** Resolves once it was told, or with nobody to tell; rejects where that fails, since the manager would wait without end. */
export async function tellReady(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  if (env['NOTIFY_SOCKET'] === undefined) return;
  // Else it waits for the manager's answer, which a busy one does not give in time.
  const child = spawn('systemd-notify', ['--ready', '--no-block'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`systemd-notify ended with ${code ?? signal}`)),
    );
  });
}
