import { proxy_done, proxy_set_effective_context, proxy_set_tick_period_milliseconds } from "./env";

/** Of the root context that is being served now. 0 stops it. */
export function setTick(periodMs: i32): void {
  proxy_set_tick_period_milliseconds(periodMs);
}

/** Says that a root context whose `proxy_on_done` answered "not yet" may now go. */
export function finishRoot(rootId: u32): void {
  proxy_set_effective_context(rootId);
  proxy_done();
}
