import { describe, expect, test } from "@jest/globals";
import { Shown } from "../../analyzer/cli/usage.ts";
import { parseOptions } from "../../scripts/demo/options.ts";
import { PORTS } from "../../scripts/demo/stack.ts";

describe("the demo's options", () => {
  test("have the promised defaults", () => {
    expect(parseOptions([])).toEqual({
      requests: 2000,
      rate: 100,
      once: false,
      dir: ".shadowgraph/demo",
      ports: {},
    });
  });

  test("change every port by its own flag, and the rest to free ones on request", () => {
    for (const name of Object.keys(PORTS)) {
      expect(parseOptions([`--port-${name}`, "12345"]).ports).toEqual({ [name]: 12345 });
    }
    const { ports } = parseOptions(["--free-ports", "--port-page", "8081"]);
    expect(Object.keys(ports).sort()).toEqual(Object.keys(PORTS).sort());
    expect(ports).toMatchObject({ page: 8081, nats: 0, envoy: 0 });
  });

  test("answer a wrong flag with the nearest right one, and a wrong value with what was expected", () => {
    expect(() => parseOptions(["--reqests", "3"])).toThrow(
      "unknown option --reqests; did you mean --requests? (see npm run demo -- --help)",
    );
    expect(() => parseOptions(["--rate", "fast"])).toThrow(
      "Expected a whole number from 1 to 20000.",
    );
    expect(() => parseOptions(["--port-page", "70000"])).toThrow("1 to 65535");
  });

  test("are explained by --help", () => {
    const written: string[] = [];
    const write = process.stdout.write;
    process.stdout.write = ((text: string) => written.push(text) > 0) as typeof write;
    try {
      expect(() => parseOptions(["--help"])).toThrow(Shown);
    } finally {
      process.stdout.write = write;
    }
    expect(written.join("")).toMatch(
      /--requests <n>[\s\S]*--once[\s\S]*--port-clickhouse <n>[\s\S]*Examples:/,
    );
  });
});
