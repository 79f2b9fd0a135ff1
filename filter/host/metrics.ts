import { proxy_define_metric, proxy_increment_metric, proxy_record_metric } from "./env";
import { HostResult, pointerOut } from "./result";

export enum MetricType {
  Counter = 0,
  Gauge = 1,
  Histogram = 2,
}

/** What `defineMetric` answers when the host refused; the other functions then do nothing. */
export const METRIC_NONE: u32 = 0xffffffff;

/** Only at configuration. The same name gives the same metric. */
export function defineMetric(type: MetricType, name: string): u32 {
  const utf8 = String.UTF8.encode(name);
  store<u32>(pointerOut, METRIC_NONE);
  if (
    proxy_define_metric(type, changetype<usize>(utf8), utf8.byteLength, pointerOut) !==
    HostResult.Ok
  ) {
    return METRIC_NONE;
  }
  return load<u32>(pointerOut);
}

/** Counters of all workers add up in Envoy. */
export function incrementMetric(metric: u32, by: i64): void {
  if (metric !== METRIC_NONE && by !== 0) proxy_increment_metric(metric, by);
}

export function recordMetric(metric: u32, value: u64): void {
  if (metric !== METRIC_NONE) proxy_record_metric(metric, value);
}
