/** One Ctrl-C can arrive twice: npx and shells hand on what the terminal sent to everyone already. */
const ECHO_MS = 500;

/**
 * Aborted by the first signal that asks this process to stop. A second one, from a person who means it, ends the process at once;
 * servers that we started end with it.
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  let askedAt: number | null = null;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      const now = performance.now();
      if (askedAt !== null && now - askedAt > ECHO_MS) process.exit(130);
      askedAt ??= now;
      stop.abort();
    });
  }
  return stop.signal;
}
