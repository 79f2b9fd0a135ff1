import { requireBetween } from "./require.ts";

const HALF_LOG_TWO_PI = 0.5 * Math.log(2 * Math.PI);

/** Below this the argument is raised, at and above it the asymptotic series is exact to 1e-17. */
const SERIES_FROM = 16;

/**
 * What Stirling's formula lacks: ln Gamma(x) = (x - 1/2) ln x - x + ln(2 pi)/2 + stirlingError(x), for x > 0.
 *
 * It is small (about 1/(12 x)), so whoever adds and subtracts several ln Gamma of large numbers subtracts their
 * large parts on paper and only these remainders in floating point. Below 16 the exact recurrence
 * stirlingError(x) - stirlingError(x + 1) = u^2/3 + u^4/5 + ... with u = 1/(2x + 1) leads upwards; it has no
 * cancellation. Absolute error below 1e-15 for x >= 1/2, relative error below 1e-15 beneath
 * (test/verdict/log-gamma.test.ts, against 50 digits).
 * @throws RangeError unless 1e-300 < x < 1e300
 */
export function stirlingError(x: number): number {
  requireBetween("the argument of ln Gamma", x, 1e-300, 1e300);
  let shifted = x;
  let correction = 0;
  for (; shifted < SERIES_FROM; shifted++) correction += stirlingStep(shifted);
  const inverse = 1 / shifted;
  const square = inverse * inverse;
  // Bernoulli numbers: 1/12, -1/360, 1/1260, -1/1680, 1/1188, -691/360360, 1/156.
  const series =
    1 / 12 -
    square *
      (1 / 360 -
        square *
          (1 / 1260 -
            square * (1 / 1680 - square * (1 / 1188 - square * (691 / 360360 - square / 156)))));
  return correction + inverse * series;
}

/** stirlingError(x) - stirlingError(x + 1). */
function stirlingStep(x: number): number {
  // Next to 0 the series converges slowly, and the direct form has nothing to cancel.
  if (x < 0.5) return (x + 0.5) * Math.log1p(1 / x) - 1;
  const u = 1 / (2 * x + 1);
  const square = u * u;
  let power = square;
  let sum = 0;
  // u <= 1/2, so each term is at most a quarter of the one before: 27 terms reach 1e-17.
  for (let odd = 3; power > 1e-18; odd += 2) {
    sum += power / odd;
    power *= square;
  }
  return sum;
}

/**
 * ln Gamma(x) for x > 0. Error below 2e-15 times max(1, |ln Gamma(x)|): next to the zeros at 1 and 2 that is an
 * absolute error. For differences of large values use `stirlingError` or `logBetaRelative`.
 * @throws RangeError unless 1e-300 < x < 1e300
 */
export function logGamma(x: number): number {
  return (x - 0.5) * Math.log(x) - x + HALF_LOG_TWO_PI + stirlingError(x);
}
