import { expect } from "@jest/globals";

/** |got - want| <= absolute + relative |want|; equal infinities pass. The message has both numbers. */
export function expectClose(
  got: number,
  want: number,
  { absolute = 0, relative = 0 }: { absolute?: number; relative?: number },
): void {
  if (got === want) return;
  const allowed = absolute + relative * Math.abs(want);
  const message = `${got}, expected ${want} +- ${allowed}`;
  expect(Math.abs(got - want) <= allowed ? "close" : message).toBe("close");
}
