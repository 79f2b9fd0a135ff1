import type { Observation } from "../observation/observation.ts";
import type { Legs } from "./legs.ts";

/** Legs and attempts of one request that are told apart; further ones are taken for repeats. */
const SEEN_MAX = 64;

/**
 * What was seen of one request and when: pairs of (leg and attempt, stream time), flat because a
 * flat list of numbers is one block of memory, and hundreds of thousands of these are kept.
 */
export type Seen = number[];

/** Before any stream time. */
export const NEVER_US = Number.NEGATIVE_INFINITY;

/**
 * Notes that this leg and attempt came now. Answers when it had come before, or NEVER_US.
 *
 * A full list answers `atUs`: then it is a repeat for all that we can know.
 */
export function noteSeen(seen: Seen, legAttempt: number, atUs: number): number {
  for (let i = 0; i < seen.length; i += 2) {
    if (seen[i] === legAttempt) {
      const before = seen[i + 1] as number;
      seen[i + 1] = atUs;
      return before;
    }
  }
  if (seen.length >= 2 * SEEN_MAX) return atUs;
  seen.push(legAttempt, atUs);
  return NEVER_US;
}

/** The newest time in the list, NEVER_US when it is empty. */
export function lastSeenUs(seen: Seen): number {
  let last = NEVER_US;
  for (let i = 1; i < seen.length; i += 2) {
    const atUs = seen[i] as number;
    if (atUs > last) last = atUs;
  }
  return last;
}

/**
 * One request whose window is open: at most one observation of each leg, linked in order of
 * opening.
 */
export class Waiting {
  readonly legs: Legs;
  readonly correlationId: string;
  readonly openedUs: number;
  /** The attempt that counts, by leg number (legs.ts); null while none came. */
  readonly best: (Observation | null)[];
  readonly seen: Seen;
  /** The primary's highest attempt. */
  primaryAttempts = 0;
  /** Bit k: the pair with shadow k has been given out. */
  pairedShadows = 0;
  older: Waiting | null = null;
  newer: Waiting | null = null;

  constructor(legs: Legs, correlationId: string, legAttempt: number, openedUs: number) {
    this.legs = legs;
    this.correlationId = correlationId;
    this.openedUs = openedUs;
    this.seen = [legAttempt, openedUs];
    this.best = new Array<Observation | null>(legs.names.length).fill(null);
  }
}

/**
 * Which of two attempts of one leg counts: the one marked final; else the later one with an answer;
 * else the later one. Whatever the order in which attempts come, the same one is left.
 */
export function betterAttempt(a: Observation, b: Observation): Observation {
  if (a.final !== b.final) return a.final ? a : b;
  const aAnswered = a.status !== 0;
  const bAnswered = b.status !== 0;
  if (!a.final && aAnswered !== bAnswered) return aAnswered ? a : b;
  return a.attempt >= b.attempt ? a : b;
}

/** The requests whose window is open, oldest first. */
export class WaitingLine {
  oldest: Waiting | null = null;
  #newest: Waiting | null = null;
  count = 0;

  append(waiting: Waiting): void {
    waiting.older = this.#newest;
    if (this.#newest === null) this.oldest = waiting;
    else this.#newest.newer = waiting;
    this.#newest = waiting;
    this.count += 1;
  }

  remove(waiting: Waiting): void {
    if (waiting.older === null) this.oldest = waiting.newer;
    else waiting.older.newer = waiting.newer;
    if (waiting.newer === null) this.#newest = waiting.older;
    else waiting.newer.older = waiting.older;
    waiting.older = null;
    waiting.newer = null;
    this.count -= 1;
  }
}
