import { expect, test } from "@jest/globals";
import { bytesText, durationText } from "../../analyzer/divergence/text.ts";

test.each([
  [0, "0 µs"],
  [999, "999 µs"],
  [1_000, "1.00 ms"],
  [9_996, "10.0 ms"],
  [99_960, "100 ms"],
  [999_400, "999 ms"],
  [999_500, "1.00 s"],
  [15_000_000, "15.0 s"],
  [3_600_000_000, "3,600 s"],
])("%i µs is written %s", (us, text) => {
  expect(durationText(us)).toBe(text);
});

test.each([
  [0, "0 bytes"],
  [1, "1 byte"],
  [999, "999 bytes"],
  [1_234_567, "1,234,567 bytes"],
])("%i bytes are written %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});
