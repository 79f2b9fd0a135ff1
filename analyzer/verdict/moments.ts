import { requireFinite } from "./require.ts";

/** Count, mean and sum of squared deviations from it: what a mean with its interval needs. */
export interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly squaredDeviations: number;
}

export const NO_MOMENTS: Moments = { count: 0, mean: 0, squaredDeviations: 0 };

/**
 * One value more, in constant time, without the cancellation of "sum of squares minus square of the sum" (Welford's
 * update). The last bits depend on the order, so feed blocks in the order of time: then a recomputation is bit for bit
 * the same. Relative error of the variance below 1e-13 for 1e4 values even when the mean is 1e6 standard deviations
 * away from 0 (test/verdict/moments.test.ts).
 */
export function addToMoments({ count, mean, squaredDeviations }: Moments, value: number): Moments {
  requireFinite("value", value);
  const delta = value - mean;
  const newMean = mean + delta / (count + 1);
  return {
    count: count + 1,
    mean: newMean,
    squaredDeviations: squaredDeviations + delta * (value - newMean),
  };
}

export function momentsOf(values: Iterable<number>): Moments {
  let moments = NO_MOMENTS;
  for (const value of values) moments = addToMoments(moments, value);
  return moments;
}

/** The unbiased variance; 0 with fewer than two values. */
export function varianceOf({ count, squaredDeviations }: Moments): number {
  return count < 2 ? 0 : Math.max(0, squaredDeviations) / (count - 1);
}
