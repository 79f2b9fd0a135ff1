import { proxy_http_call } from "./env";
import { HostResult, pointerOut } from "./result";

/** The token of the call that `startHttpCall` just began; its answer comes as `onHttpCallResponse` with it. */
export let httpCallToken: u32 = 0;

/**
 * `headers`: pairs as the host lays them out (a count, the sizes, the bytes with a zero after each). Anything but Ok
 * means that no answer will come: 2 for an unknown cluster, 10 for no healthy endpoint or a full breaker.
 */
export function startHttpCall(
  cluster: usize,
  clusterBytes: i32,
  headers: usize,
  headersBytes: i32,
  body: usize,
  bodyBytes: i32,
  timeoutMs: i32,
): i32 {
  store<u32>(pointerOut, 0);
  const result = proxy_http_call(
    cluster,
    clusterBytes,
    headers,
    headersBytes,
    body,
    bodyBytes,
    0,
    0,
    timeoutMs,
    pointerOut,
  );
  if (result === HostResult.Ok) httpCallToken = load<u32>(pointerOut);
  return result;
}
