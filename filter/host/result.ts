/** What a host call answers. */
export enum HostResult {
  Ok = 0,
  NotFound = 1,
  BadArgument = 2,
  SerializationFailure = 3,
  InternalFailure = 10,
}

// Where the host writes an address and a size; shared by all calls, read at once.
export const pointerOut: usize = memory.data(8, 8);
export const bytesOut: usize = pointerOut + 4;
