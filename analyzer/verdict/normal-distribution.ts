import { requireBetween } from "./require.ts";

const HALF_LOG_TWO_PI = 0.5 * Math.log(2 * Math.PI);

/**
 * ln P(Z > z) of the standard normal distribution, for every finite z and the infinities.
 *
 * The logarithm, because P(Z > 39) is below the smallest number. Near 0 a series of positive terms, in the tail the
 * continued fraction of Mills' ratio with as many terms as its error needs. Relative error of the probability below
 * 1e-14 up to z = 38, of the logarithm below 1e-15 beyond (test/verdict/normal-distribution.test.ts, SciPy).
 */
export function logNormalUpperTail(z: number): number {
  if (Number.isNaN(z)) throw new RangeError("z is NaN, expected a number");
  if (z === Infinity) return -Infinity;
  if (z <= -1.5) return Math.log1p(-Math.exp(logNormalUpperTail(-z)));
  if (z < 1.5) return Math.log(0.5 - centralMass(z));
  // Backwards from far enough out; 30 + 800/z^2 terms leave an error below the last digit.
  let ratio = z;
  for (let term = 30 + Math.ceil(800 / (z * z)); term >= 1; term--) ratio = z + term / ratio;
  return -0.5 * z * z - HALF_LOG_TWO_PI - Math.log(ratio);
}

/** P(Z > z). 0 beyond about z = 38.5, where no double is small enough. */
export function normalUpperTail(z: number): number {
  return Math.exp(logNormalUpperTail(z));
}

/** P(0 < Z < z), negative for z < 0. */
function centralMass(z: number): number {
  let term = z;
  let sum = z;
  for (let odd = 3; Math.abs(term) > 1e-18 * Math.abs(sum); odd += 2) {
    term *= (z * z) / odd;
    sum += term;
  }
  return sum * Math.exp(-0.5 * z * z - HALF_LOG_TWO_PI);
}

/**
 * The z that is exceeded with probability `tail`: 1.6449 for 0.05, 1.9600 for 0.025.
 *
 * Newton's method on the logarithm of the tail, which is concave: from the right of the root it comes down
 * monotonically and cannot miss. Relative error below 1e-14, absolute below 1e-15 next to 0
 * (test/verdict/normal-distribution.test.ts, SciPy).
 * @throws RangeError unless 0 < tail < 1
 */
export function normalUpperQuantile(tail: number): number {
  requireBetween("the tail's probability", tail, 0, 1);
  if (tail > 0.5) return -normalUpperQuantile(1 - tail);
  const target = Math.log(tail);
  // P(Z > z) <= exp(-z^2 / 2), so this is to the right of the root.
  let z = Math.sqrt(-2 * target);
  for (let step = 0; step < 100; step++) {
    const logTail = logNormalUpperTail(z);
    const hazard = Math.exp(-0.5 * z * z - HALF_LOG_TWO_PI - logTail);
    const next = z + (logTail - target) / hazard;
    if (Math.abs(next - z) <= 1e-15 * (1 + Math.abs(z))) return next;
    z = next;
  }
  return z;
}
