/** Checks of arguments: a statistic of nonsense would look like any other number, so nonsense is refused. */

/** A whole number from 0 to 2^53 - 1. */
export function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name} is ${value}, expected a whole number from 0 to 2^53 - 1`);
  }
}

/** A number strictly between `above` and `below`. */
export function requireBetween(name: string, value: number, above: number, below: number): void {
  if (!(value > above && value < below)) {
    throw new RangeError(`${name} is ${value}, expected more than ${above} and less than ${below}`);
  }
}

export function requirePositive(name: string, value: number): void {
  if (!(value > 0 && value < Infinity)) {
    throw new RangeError(`${name} is ${value}, expected a finite number above 0`);
  }
}

export function requireFinite(name: string, value: number): void {
  if (!Number.isFinite(value)) {
    throw new RangeError(`${name} is ${value}, expected a finite number`);
  }
}
