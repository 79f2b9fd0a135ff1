import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { packageRoot } from "../../analyzer/config/package-root.ts";
import { FileSchema } from "../../analyzer/config/schema.ts";
import { loadConfig, parseConfig } from "../../analyzer/config.ts";

const FILE = join(packageRoot().path, "deploy", "shadowgraph.yaml");

interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly items?: Node;
}

/** `experiments[].primary.cluster` and so on: every key that has a value of its own. */
function keysOf(node: Node, path = ""): string[] {
  if (node.properties) {
    return Object.entries(node.properties).flatMap(([key, child]) =>
      keysOf(child, path === "" ? key : `${path}.${key}`),
    );
  }
  if (node.items?.properties) return keysOf(node.items, `${path}[]`);
  return [path];
}

function keysIn(value: unknown, path = ""): string[] {
  if (Array.isArray(value) && typeof value[0] === "object") return keysIn(value[0], `${path}[]`);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, child]) =>
      keysIn(child, path === "" ? key : `${path}.${key}`),
    );
  }
  return [path];
}

describe("deploy/shadowgraph.yaml", () => {
  test("is a sound configuration", () => {
    expect(loadConfig(FILE, {}).experiments).toHaveLength(1);
  });

  test("shows every key that there is, and no other", () => {
    const shown = keysIn(parse(readFileSync(FILE, "utf8")));
    expect([...shown].sort()).toEqual(keysOf(FileSchema as unknown as Node).sort());
  });

  test("shows the defaults that really hold", () => {
    const smallest = `experiments:
  - name: fraud
    primary: { cluster: fraud-primary }
    shadows: [ { name: shadow, cluster: fraud-shadow } ]
`;
    const standard = parseConfig(smallest, { path: "smallest.yaml", env: {} });
    const shown = loadConfig(FILE, {});
    for (const key of ["nats", "clickhouse", "analyzer", "http", "filter", "retention"] as const) {
      expect(shown[key]).toEqual(standard[key]);
    }
    expect(shown.envoy).toEqual({
      ...standard.envoy,
      wasm: join(packageRoot().path, "build", "shadowgraph.wasm"),
    });
    const [ours] = shown.experiments;
    const [theirs] = standard.experiments;
    for (const key of [
      "sampleFraction",
      "requestBytesMax",
      "latency",
      "shadowTimeoutMs",
      "shadowRequestsMax",
    ] as const) {
      expect(ours?.[key]).toEqual(theirs?.[key]);
    }
  });
});
