// The cheapest Proxy-Wasm filter there can be: what it costs is what any wasm filter in these places costs.

export function proxy_abi_version_0_2_1(): void {}
export function malloc(bytes: i32): usize {
  return heap.alloc(bytes);
}
export function proxy_on_vm_start(_root: u32, _bytes: u32): u32 {
  return 1;
}
export function proxy_on_configure(_root: u32, _bytes: u32): u32 {
  return 1;
}
export function proxy_on_context_create(_context: u32, _root: u32): void {}
export function proxy_on_request_headers(_context: u32, _headers: u32, _end: u32): u32 {
  return 0;
}
export function proxy_on_request_body(_context: u32, _bytes: u32, _end: u32): u32 {
  return 0;
}
export function proxy_on_response_headers(_context: u32, _headers: u32, _end: u32): u32 {
  return 0;
}
export function proxy_on_response_body(_context: u32, _bytes: u32, _end: u32): u32 {
  return 0;
}
export function proxy_on_done(_context: u32): u32 {
  return 1;
}
export function proxy_on_log(_context: u32): void {}
export function proxy_on_delete(_context: u32): void {}
