// What Envoy offers a filter: Proxy-Wasm ABI 0.2.1, as raw imports. The compiler takes the module's name from the
// file's, so this file has to be called "env". Each returns a HostResult; pointers are into our memory. Values that the
// host hands out are copied into memory it asks for with `malloc` (arena.ts), and their address and size are written
// to the given places.

export declare function proxy_log(level: i32, message: usize, messageBytes: i32): i32;

export declare function proxy_get_header_map_pairs(
  map: i32,
  dataOut: usize,
  dataBytesOut: usize,
): i32;
export declare function proxy_get_header_map_value(
  map: i32,
  name: usize,
  nameBytes: i32,
  valueOut: usize,
  valueBytesOut: usize,
): i32;
export declare function proxy_add_header_map_value(
  map: i32,
  name: usize,
  nameBytes: i32,
  value: usize,
  valueBytes: i32,
): i32;
export declare function proxy_replace_header_map_value(
  map: i32,
  name: usize,
  nameBytes: i32,
  value: usize,
  valueBytes: i32,
): i32;
export declare function proxy_remove_header_map_value(map: i32, name: usize, nameBytes: i32): i32;

export declare function proxy_get_buffer_bytes(
  buffer: i32,
  start: i32,
  bytes: i32,
  dataOut: usize,
  dataBytesOut: usize,
): i32;

export declare function proxy_get_property(
  path: usize,
  pathBytes: i32,
  valueOut: usize,
  valueBytesOut: usize,
): i32;
export declare function proxy_set_property(
  path: usize,
  pathBytes: i32,
  value: usize,
  valueBytes: i32,
): i32;

export declare function proxy_set_tick_period_milliseconds(periodMs: i32): i32;
export declare function proxy_done(): i32;
export declare function proxy_set_effective_context(contextId: u32): i32;

export declare function proxy_http_call(
  cluster: usize,
  clusterBytes: i32,
  headers: usize,
  headersBytes: i32,
  body: usize,
  bodyBytes: i32,
  trailers: usize,
  trailersBytes: i32,
  timeoutMs: i32,
  tokenOut: usize,
): i32;

export declare function proxy_define_metric(
  type: i32,
  name: usize,
  nameBytes: i32,
  metricOut: usize,
): i32;
export declare function proxy_increment_metric(metric: u32, by: i64): i32;
export declare function proxy_record_metric(metric: u32, value: u64): i32;
