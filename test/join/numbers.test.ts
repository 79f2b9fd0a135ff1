import { expect, test } from "@jest/globals";
import { BatchNumbers } from "../../analyzer/join/numbers.ts";

const batch = { experiment: "fraud", worker: "8899aabbccddeeff", partition: 3 };

test("numbers in a row are no gap, and the first one may be any", () => {
  const numbers = new BatchNumbers({ horizonUs: 1_000 });
  expect(numbers.note({ ...batch, number: 17 }, 1)).toBeNull();
  expect(numbers.note({ ...batch, number: 18 }, 2)).toBeNull();
});

test("a hole is reported once, with its first and last number", () => {
  const numbers = new BatchNumbers({ horizonUs: 1_000 });
  numbers.note({ ...batch, number: 1 }, 1);
  expect(numbers.note({ ...batch, number: 5 }, 7)).toEqual({
    ...batch,
    firstMissing: 2,
    lastMissing: 4,
    seenAtUs: 7,
  });
  expect(numbers.note({ ...batch, number: 6 }, 8)).toBeNull();
});

test("a batch built again under its number, or an earlier one sent again, is no gap and makes none", () => {
  const numbers = new BatchNumbers({ horizonUs: 1_000 });
  for (const number of [1, 2, 2, 2, 1, 3]) {
    expect(numbers.note({ ...batch, number }, 1)).toBeNull();
  }
});

test("workers, experiments and partitions are counted apart", () => {
  const numbers = new BatchNumbers({ horizonUs: 1_000 });
  numbers.note({ ...batch, number: 1 }, 1);
  expect(numbers.note({ ...batch, partition: 4, number: 9 }, 1)).toBeNull();
  expect(numbers.note({ ...batch, worker: "0000000000000001", number: 9 }, 1)).toBeNull();
  expect(numbers.note({ ...batch, experiment: "other", number: 9 }, 1)).toBeNull();
});

test("a number older than the horizon is not held against anything, so a replay finds the same gaps", () => {
  const numbers = new BatchNumbers({ horizonUs: 1_000 });
  numbers.note({ ...batch, number: 1 }, 1);
  expect(numbers.note({ ...batch, number: 5 }, 1_001)).toBeNull();
  expect(numbers.note({ ...batch, number: 7 }, 2_000)).toMatchObject({ firstMissing: 6 });
});

test("the table of workers is bounded and drops the one unused for longest", () => {
  const numbers = new BatchNumbers({ horizonUs: 1_000, keysMax: 2 });
  numbers.note({ ...batch, partition: 1, number: 1 }, 1);
  numbers.note({ ...batch, partition: 2, number: 1 }, 1);
  numbers.note({ ...batch, partition: 1, number: 2 }, 1);
  numbers.note({ ...batch, partition: 3, number: 1 }, 1);
  expect(numbers.forgottenCount).toBe(1);
  expect(numbers.note({ ...batch, partition: 1, number: 4 }, 1)).toMatchObject({ firstMissing: 3 });
  expect(numbers.note({ ...batch, partition: 2, number: 4 }, 1)).toBeNull();
});
