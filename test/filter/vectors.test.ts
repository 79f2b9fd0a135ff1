import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import {
  type MirroringProxy,
  pluginConfiguration,
  startProxy,
} from "../support/mirrored-request.ts";
import { type Headers, ProxyHost } from "../support/proxy-host.ts";

interface Vector {
  readonly why: string;
  readonly kind: "record" | "batch" | "ledger";
  readonly encoder: boolean;
  readonly subject?: string;
  readonly messageId?: string;
  readonly bytes: string;
}

const folder = "wire/vectors";
const vectors = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file): [string, Vector] => [
      file.slice(0, -".json".length),
      JSON.parse(readFileSync(`${folder}/${file}`, "utf8")) as Vector,
    ]),
);

const PAIR = "1.fraud.01a2076b-4400-7a11-9c3d-5e6f70818293.c0ffee00112233445566778899aabbcc";
/** The first draw is the worker's id. */
const WORKER = Buffer.from("8899aabbccddeeff", "hex");

function startHost(): ProxyHost {
  return new ProxyHost({
    random: (count) => Uint8Array.from({ length: count }, (_, i) => WORKER[i % 8] ?? 0),
  });
}

interface LegScript {
  readonly cluster: string;
  readonly method: string;
  readonly path: string;
  readonly headers?: Headers;
  readonly attempt?: number;
  /** The rest of the leg's life, on a clock that starts at the vector's startedAtUs. */
  readonly play: (host: ProxyHost, stream: number) => void;
  readonly ends?: boolean;
}

/** A leg whose tagger is in another worker: its identity comes from outside, so it can be the vector's. */
function playLeg(host: ProxyHost, proxy: MirroringProxy, script: LegScript): void {
  const isPrimary = script.cluster === "fraud-primary";
  const stream = host.openStream(proxy.roots.observer, {
    filterState: new Map(isPrimary ? [["shadow_pair", Buffer.from(PAIR)]] : []),
  });
  host.setProperty(stream, "xds.cluster_name", script.cluster);
  host.setProperty(stream, "upstream.request_attempt_count", script.attempt ?? 1);
  const headers: Headers = [
    [":method", script.method],
    [":path", script.path],
    ["x-shadow-pair", PAIR],
    ...(script.headers ?? []),
  ];
  host.requestHeaders(stream, headers, script.ends ?? false);
  script.play(host, stream);
  host.closeStream(stream, false);
}

const minimal: LegScript = {
  cluster: "fraud-shadow",
  method: "POST",
  path: "/score",
  play: (host) => host.advanceUs(1500),
};

function answered(status: string, more: Headers = []): LegScript["play"] {
  return (host, stream) => {
    host.advanceUs(2000);
    host.responseHeaders(stream, [[":status", status], ...more], false);
    host.advanceUs(500);
    host.responseBody(stream, "", true);
  };
}

const complete: LegScript = {
  cluster: "fraud-control",
  method: "GET",
  path: "/score",
  ends: true,
  play: answered("204"),
};

const scripts: Record<string, LegScript> = {
  "record-minimal": minimal,
  "record-complete": complete,
  "record-cut": {
    ...complete,
    play: answered("200", [
      [
        "content-type",
        "Application/vnd.example.very-long-media-type-name-that-goes-past-the-limit; charset=utf-8",
      ],
    ]),
  },
  "record-non-ascii": {
    ...complete,
    path: "/cities/8412",
    headers: [["x-city", 'Zürich "Nord" \\ 東京']],
  },
  "record-everything": {
    cluster: "fraud-primary",
    method: "POST",
    path:
      "/accounts/8412/score?country=DE&currency=EUR&channel=web&device=d&locale=de&merchant=m&method=m&mode=m" +
      "&origin=o&page=1&plan=p&region=r&sort=s&source=s&theme=t&view=v&zone=z",
    headers: [
      ["content-type", "application/JSON; charset=utf-8"],
      ["content-encoding", "identity"],
      ["x-country", "DE"],
    ],
    attempt: 2,
    play: (host, stream) => {
      host.advanceUs(1500);
      host.requestBody(stream, '{"amount":129.95}', true);
      host.advanceUs(18_500);
      const headers: Headers = [
        [":status", "200"],
        ["content-type", "application/grpc+json"],
        ["content-encoding", "gzip"],
        ["grpc-status", "13"],
      ];
      host.responseHeaders(stream, headers, false);
      host.responseBody(stream, '{"sc', false);
      host.advanceUs(20_000);
      host.responseBody(stream, 'ore":', false);
      host.advanceUs(40_000);
      host.responseBody(stream, "0.91}", false);
      host.advanceUs(10_000);
      host.setProperty(
        stream,
        "response.code_details",
        "upstream_reset_after_response_started{connection_termination}",
      );
    },
  },
};

const segments = ["x-country", "x-city"];

describe("the filter writes exactly the golden vectors' bytes", () => {
  const names = [...vectors].filter(([, vector]) => vector.encoder).map(([name]) => name);

  test.each(names.filter((name) => vectors.get(name)?.kind === "record"))("%s", async (name) => {
    const script = scripts[name];
    if (script === undefined) throw new Error(`no script leads to ${name}`);
    const host = startHost();
    const proxy = startProxy(host, { experiment: { segments } });
    playLeg(host, proxy, script);
    await host.advanceMs(400);
    const [payload = ""] = host.nats.payloads;
    expect(payload.slice(payload.indexOf("\n") + 1)).toBe(vectors.get(name)?.bytes);
  });

  test("batch: header line, records in order, subject and message id", async () => {
    const vector = vectors.get("batch");
    const host = startHost();
    const proxy = startProxy(host, { top: { ledgerIntervalMs: 3_600_000 } });
    host.tick(proxy.roots.tagger); // the probe
    host.answerCalls();
    const startUs = host.wallUs;
    for (const script of [minimal, complete]) {
      // Both legs of the vector began at the same moment of the wall clock.
      host.wallUs = startUs;
      host.monotonicUs += 2_000_000;
      playLeg(host, proxy, script);
    }
    host.monotonicUs += 2_000_000;
    host.wallUs = startUs + 200_000;
    host.tick(proxy.roots.tagger);
    host.answerCalls();
    const [message] = host.nats.stored;
    expect(message?.payload).toBe(vector?.bytes);
    expect(message?.subject).toBe(vector?.subject);
    expect(message?.headers.get("Nats-Msg-Id")).toBe(vector?.messageId);
  });

  test("ledger: four requests, counted by reason, leg and ending", async () => {
    const vector = vectors.get("ledger");
    const host = startHost();
    const changes = {
      experiment: {
        partitions: 1,
        requestBytesMax: 1000,
        legs: { "fraud-primary": "primary", "fraud-shadow": "shadow" },
      },
    };
    const proxy = startProxy(host, changes);
    const shadow = "fraud-shadow";
    proxy.request({ shadows: { [shadow]: {} }, primary: [{ delayUs: 0 }] });
    proxy.request({ shadows: { [shadow]: { resets: "before-headers" } } });
    proxy.request({ headers: [["content-length", "1001"]], chunks: ["x"] });
    proxy.request({ headers: [["transfer-encoding", "chunked"]], chunks: ["x"] });
    // The first ledger comes one interval after the configuration.
    const wallStartUs = 1_795_420_800_000_000;
    await host.advanceMs(Math.ceil((wallStartUs + 5_000_000 - host.wallUs) / 1000) - 1);
    host.advanceUs(wallStartUs + 5_000_000 - host.wallUs);
    host.tick(proxy.roots.tagger);
    host.answerCalls();
    const ledger = host.nats.stored.find((message) => message.subject.endsWith(".ledger"));
    expect(ledger?.payload).toBe(vector?.bytes);
    expect(ledger?.subject).toBe(vector?.subject);
  });

  test("every vector for the encoder has a script here", () => {
    const scripted = [...Object.keys(scripts), "batch", "ledger"];
    expect(scripted.sort()).toEqual(names.sort());
    expect(pluginConfiguration("tagger")["role"]).toBe("tagger");
  });
});
