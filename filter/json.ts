import { sameBytes } from "./host/text";

/** Deeper than any configuration of ours. */
const DEPTH_MAX = 8;

/**
 * Reads JSON (RFC 8259) whose shape the caller knows, value by value. The first mistake is kept in `mistake` with its
 * place, as in "experiments[0].match.hosts: expected a list, got a number"; from then on every read answers nothing and every loop
 * ends, so that callers check once, at the end. Only for configuration: it allocates.
 */
export class JsonReader {
  mistake: string = "";
  /** The key that `nextKey` stands on. */
  key: string = "";
  private at: usize;
  private end: usize;
  private place: string = "";
  private depth: i32 = 0;
  private places: StaticArray<string> = new StaticArray<string>(DEPTH_MAX);
  private counts: StaticArray<i32> = new StaticArray<i32>(DEPTH_MAX);
  private keys: StaticArray<string> = new StaticArray<string>(DEPTH_MAX);

  constructor(from: usize, bytes: i32) {
    this.at = from;
    this.end = from + <usize>bytes;
  }

  /** Whether nothing was wrong so far. */
  get fine(): bool {
    return this.mistake.length === 0;
  }

  /** Keeps the first mistake only: later ones follow from it. */
  fail(what: string): void {
    if (!this.fine) return;
    this.mistake = this.place.length > 0 ? `${this.place}: ${what}` : what;
  }

  /** For a mistake in a key of the object that was just read, seen after its end. */
  failAt(key: string, what: string): void {
    if (!this.fine) return;
    const place = this.place.length > 0 ? `${this.place}.${key}` : key;
    this.mistake = `${place}: ${what}`;
  }

  failKey(): void {
    this.fail("unknown key");
  }

  private skipSpace(): void {
    while (this.at < this.end) {
      const char = load<u8>(this.at);
      if (char !== 0x20 && char !== 0x0a && char !== 0x0d && char !== 0x09) return;
      this.at++;
    }
  }

  /** The next character that is not space, without taking it; 0 at the end. */
  private peek(): i32 {
    this.skipSpace();
    return this.at < this.end ? <i32>load<u8>(this.at) : 0;
  }

  private kind(): string {
    const char = this.peek();
    if (char === 0) return "the end";
    if (char === 0x7b) return "an object";
    if (char === 0x5b) return "a list";
    if (char === 0x22) return "a string";
    if (char === 0x74 || char === 0x66) return "true or false";
    if (char === 0x6e) return "null";
    if (char === 0x2d || (char >= 0x30 && char <= 0x39)) return "a number";
    return "something else";
  }

  private enter(bracket: i32, expected: string): bool {
    if (!this.fine) return false;
    if (this.peek() !== bracket) {
      this.fail(`expected ${expected}, got ${this.kind()}`);
      return false;
    }
    if (this.depth >= DEPTH_MAX) {
      this.fail("nested too deep");
      return false;
    }
    this.at++;
    this.places[this.depth] = this.place;
    this.counts[this.depth] = 0;
    this.keys[this.depth] = "\n";
    this.depth++;
    return true;
  }

  private leave(): void {
    this.at++;
    this.depth--;
    this.place = this.places[this.depth];
  }

  /** Then `while (reader.nextKey())`. */
  enterObject(): bool {
    return this.enter(0x7b, "an object");
  }

  /** Then `while (reader.nextItem())`. */
  enterList(): bool {
    return this.enter(0x5b, "a list");
  }

  /** Whether another element follows; takes the comma before it, or the closing bracket. */
  private nextElement(closing: i32): bool {
    if (!this.fine || this.depth === 0) return false;
    const level = this.depth - 1;
    this.place = this.places[level];
    const char = this.peek();
    if (char === closing) {
      this.leave();
      return false;
    }
    if (this.counts[level] > 0) {
      if (char !== 0x2c) {
        this.fail(`expected a comma or the end of it, got ${this.kind()}`);
        return false;
      }
      this.at++;
    }
    this.counts[level]++;
    return true;
  }

  nextItem(): bool {
    if (!this.nextElement(0x5d)) return false;
    const level = this.depth - 1;
    this.place = `${this.places[level]}[${(this.counts[level] - 1).toString()}]`;
    return true;
  }

  nextKey(): bool {
    if (!this.nextElement(0x7d)) return false;
    const level = this.depth - 1;
    this.key = this.readString();
    if (!this.fine) return false;
    this.place = this.places[level].length > 0 ? `${this.places[level]}.${this.key}` : this.key;
    if (this.keys[level].includes(`\n${this.key}\n`)) this.fail("given twice");
    this.keys[level] = `${this.keys[level]}${this.key}\n`;
    if (this.peek() !== 0x3a) this.fail("expected a colon");
    if (!this.fine) return false;
    this.at++;
    return true;
  }

  readString(): string {
    if (!this.fine) return "";
    if (this.peek() !== 0x22) {
      this.fail(`expected a string, got ${this.kind()}`);
      return "";
    }
    this.at++;
    let value = "";
    let from = this.at;
    while (this.at < this.end) {
      const char = load<u8>(this.at);
      if (char === 0x22) {
        value += String.UTF8.decodeUnsafe(from, this.at - from);
        this.at++;
        return value;
      }
      if (char < 0x20) break;
      if (char === 0x5c) {
        value += String.UTF8.decodeUnsafe(from, this.at - from);
        const unit = this.readEscape();
        if (unit < 0) break;
        value += String.fromCharCode(unit);
        from = this.at;
      } else {
        this.at++;
      }
    }
    this.fail("the string is not well formed");
    return "";
  }

  /** The UTF-16 unit that an escape stands for, -1 for none. */
  private readEscape(): i32 {
    if (this.end - this.at < 2) return -1;
    const char = load<u8>(this.at, 1);
    this.at += 2;
    if (char === 0x22 || char === 0x5c || char === 0x2f) return char;
    if (char === 0x62) return 8;
    if (char === 0x66) return 12;
    if (char === 0x6e) return 10;
    if (char === 0x72) return 13;
    if (char === 0x74) return 9;
    if (char !== 0x75 || this.end - this.at < 4) return -1;
    let unit: i32 = 0;
    for (let index = 0; index < 4; index++) {
      const digit = <i32>load<u8>(this.at++);
      const lower = digit | 0x20;
      if (digit >= 0x30 && digit <= 0x39) unit = (unit << 4) | (digit - 0x30);
      else if (lower >= 0x61 && lower <= 0x66) unit = (unit << 4) | (lower - 0x57);
      else return -1;
    }
    return unit;
  }

  /** Between `min` and `max`, both allowed; 0 after a mistake. */
  readNumber(min: f64, max: f64): f64 {
    if (!this.fine) return 0;
    const first = this.peek();
    if (first !== 0x2d && (first < 0x30 || first > 0x39)) {
      this.fail(`expected a number, got ${this.kind()}`);
      return 0;
    }
    const from = this.at;
    if (first === 0x2d) this.at++;
    const zero = this.at < this.end && load<u8>(this.at) === 0x30;
    const whole = this.skipDigits();
    let formed = whole > 0 && !(zero && whole > 1);
    if (this.at < this.end && load<u8>(this.at) === 0x2e) {
      this.at++;
      if (this.skipDigits() === 0) formed = false;
    }
    if (this.at < this.end && (load<u8>(this.at) | 0x20) === 0x65) {
      this.at++;
      if (this.at < this.end && (load<u8>(this.at) === 0x2b || load<u8>(this.at) === 0x2d)) {
        this.at++;
      }
      if (this.skipDigits() === 0) formed = false;
    }
    if (!formed) {
      this.fail("the number is not well formed");
      return 0;
    }
    const value = parseFloat(String.UTF8.decodeUnsafe(from, this.at - from));
    if (!(value >= min && value <= max)) {
      this.fail(`expected ${shown(min)} to ${shown(max)}, got ${shown(value)}`);
      return 0;
    }
    return value;
  }

  readInteger(min: i32, max: i32): i32 {
    const value = this.readNumber(<f64>min, <f64>max);
    if (this.fine && value !== Math.floor(value)) {
      this.fail(`expected a whole number, got ${value.toString()}`);
    }
    return this.fine ? <i32>value : 0;
  }

  private skipDigits(): i32 {
    const from = this.at;
    while (this.at < this.end && load<u8>(this.at) >= 0x30 && load<u8>(this.at) <= 0x39) this.at++;
    return <i32>(this.at - from);
  }

  /** After the outermost value: nothing but space may follow. */
  readEnd(): void {
    if (!this.fine) return;
    this.place = "";
    if (this.peek() !== 0) this.fail(`expected the end, got ${this.kind()}`);
  }
}

/** Whole numbers without the ".0" that the runtime would give them. */
function shown(value: f64): string {
  return value === Math.floor(value) && Math.abs(value) < 1e15
    ? (<i64>value).toString()
    : value.toString();
}

/** The runtime's `==` on strings, under a name that says so; the type checker would read `===` as this too. */
export function isString(value: string, expected: string): bool {
  return (
    value.length === expected.length &&
    sameBytes(
      changetype<usize>(value),
      value.length * 2,
      changetype<usize>(expected),
      expected.length * 2,
    )
  );
}
