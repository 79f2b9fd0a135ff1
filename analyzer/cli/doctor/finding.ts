export type State = "ok" | "warn" | "fail";

/** One line of the doctor's answer. */
export interface Finding {
  readonly check: string;
  readonly state: State;
  /** What was seen. */
  readonly message: string;
  /** What to do; empty when nothing is to be done. */
  readonly advice: string;
}

export function ok(check: string, message: string): Finding {
  return { check, state: "ok", message, advice: "" };
}

export function warn(check: string, message: string, advice: string): Finding {
  return { check, state: "warn", message, advice };
}

export function fail(check: string, message: string, advice: string): Finding {
  return { check, state: "fail", message, advice };
}

export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split("\n", 1)[0] ?? "";
}

/** "3 s", "5 min", "2 h", "4 days". */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;
}
