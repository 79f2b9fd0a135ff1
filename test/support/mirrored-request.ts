import type { Headers, ProxyHost } from "./proxy-host.ts";

/** What a server does with its copy of the request. */
export interface ServerBehaviour {
  readonly status?: number;
  readonly headers?: Headers;
  readonly chunks?: readonly string[];
  readonly trailers?: Headers;
  /** Breaks off: before any answer, after the headers, or after the chunks. */
  readonly resets?: "before-headers" | "after-headers" | "after-chunks";
  /** Why connecting failed, as Envoy says it. */
  readonly transportFailure?: string;
  /** Envoy's words at the end of the leg, unless the client left. */
  readonly codeDetails?: string;
  /** From the end of the request to the answer's headers, and between chunks. */
  readonly delayUs?: number;
  readonly chunkDelayUs?: number;
  /** Of the delay: before there was a connection. */
  readonly waitedUs?: number;
}

export interface MirroredRequest {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Headers;
  readonly chunks?: readonly string[];
  readonly trailers?: Headers;
  /** Each try of the primary; all but the last are followed by a retry. */
  readonly primary?: readonly ServerBehaviour[];
  readonly shadows?: Readonly<Record<string, ServerBehaviour | "breaker-full">>;
  /** The primary answers before its mirrors (Envoy promises no order). */
  readonly primaryFirst?: boolean;
  /** The client is gone before the primary has answered. */
  readonly clientLeaves?: boolean;
  /** A later filter answers itself, or there is no route: no leg begins. */
  readonly refusedLater?: boolean;
}

/** What the servers and the client saw. */
export interface Exchange {
  readonly sampled: boolean;
  /** By cluster: the headers that its server received; the primary's last try. */
  readonly received: ReadonlyMap<string, Headers>;
}

/** The clusters and roots of one listener with its routes. */
export class MirroringProxy {
  constructor(
    readonly host: ProxyHost,
    readonly roots: { readonly tagger: number; readonly observer: number },
    readonly primaryCluster = "fraud-primary",
  ) {}

  /** One request through Envoy's whole life of it, with callbacks in the order in which Envoy 1.40 makes them. */
  request(request: MirroredRequest = {}): Exchange {
    const { host } = this;
    const chunks = request.chunks ?? [];
    const headers: Headers = [
      [":authority", request.host ?? "fraud.example"],
      [":path", request.path ?? "/score"],
      [":method", request.method ?? "POST"],
      [":scheme", "http"],
      ["x-request-id", "5e0f6ab1-0000-4000-8000-000000000001"],
      ...(request.headers ?? []),
    ];
    const hasBody = chunks.length > 0 || request.trailers !== undefined;
    const filterState = new Map<string, Buffer>();
    const tagger = host.openStream(this.roots.tagger, { filterState });
    host.requestHeaders(tagger, headers, !hasBody);

    const sampled = headers.some(([name]) => name === "x-shadow-sampled");
    const received = new Map<string, Headers>();
    if (request.refusedLater === true) {
      host.closeStream(tagger, true);
      return { sampled, received };
    }
    // The route that matched removes the header and mirrors; the copies are made before any upstream filter runs.
    for (let i = headers.length - 1; i >= 0; i--) {
      if (headers[i]?.[0] === "x-shadow-sampled") headers.splice(i, 1);
    }
    const mirrors = sampled
      ? Object.entries(request.shadows ?? {}).flatMap(([cluster, behaviour]) =>
          behaviour === "breaker-full" ? [] : [{ cluster, behaviour }],
        )
      : [];
    const copies = mirrors.map(({ cluster, behaviour }) => ({
      behaviour,
      leg: new Leg(host, this.roots.observer, cluster, {
        filterState: new Map(),
        isMirrored: true,
        headers: [
          ...headers.map(([name, value]): [string, string] => [name, value]),
          ["x-envoy-internal", "true"],
          ["x-forwarded-for", "127.0.0.1"],
        ],
      }),
    }));
    const tries = request.primary ?? [{}];
    let primary = this.primaryLeg(headers, filterState, 1);
    primary.begin(!hasBody);
    for (const { leg } of copies) leg.begin(!hasBody);
    chunks.forEach((chunk, index) => {
      const end = index === chunks.length - 1 && request.trailers === undefined;
      host.requestBody(tagger, chunk, end);
      for (const { leg } of copies) leg.requestBody(chunk, end);
      primary.requestBody(chunk, end);
    });
    if (request.trailers !== undefined) {
      host.requestTrailers(tagger, request.trailers);
      for (const { leg } of copies) leg.requestTrailers(request.trailers);
      primary.requestTrailers(request.trailers);
    }
    for (const { leg } of copies) received.set(leg.cluster, leg.headers);

    const answerMirrors = (): void => {
      for (const { leg, behaviour } of copies) leg.answer(behaviour);
    };
    if (request.primaryFirst !== true) answerMirrors();
    if (request.clientLeaves === true) {
      primary.close("downstream_remote_disconnect");
    } else {
      tries.forEach((behaviour, index) => {
        if (index > 0) {
          primary = this.primaryLeg(headers, filterState, index + 1);
          primary.begin(!hasBody);
          chunks.forEach((chunk, at) => {
            primary.requestBody(chunk, at === chunks.length - 1);
          });
        }
        if (index < tries.length - 1) primary.answerForRetry(behaviour);
        else primary.answer(behaviour, tagger);
      });
    }
    received.set(primary.cluster, primary.headers);
    host.closeStream(tagger, true);
    if (request.primaryFirst === true) answerMirrors();
    return { sampled, received };
  }

  private primaryLeg(headers: Headers, filterState: Map<string, Buffer>, attempt: number): Leg {
    return new Leg(this.host, this.roots.observer, this.primaryCluster, {
      filterState,
      isMirrored: false,
      headers,
      attempt,
    });
  }
}

interface LegOptions {
  readonly filterState: Map<string, Buffer>;
  readonly isMirrored: boolean;
  readonly headers: Headers;
  readonly attempt?: number;
}

/** One try at one server, with its instance of the upstream filter. */
export class Leg {
  readonly headers: Headers;
  readonly stream: number;

  constructor(
    private readonly host: ProxyHost,
    observerRoot: number,
    readonly cluster: string,
    options: LegOptions,
  ) {
    this.headers = options.headers;
    this.stream = host.openStream(observerRoot, {
      filterState: options.filterState,
      isMirrored: options.isMirrored,
    });
    host.setProperty(this.stream, "xds.cluster_name", cluster);
    host.setProperty(this.stream, "upstream.request_attempt_count", options.attempt ?? 1);
    host.setProperty(this.stream, "upstream.transport_failure_reason", "");
    host.setProperty(this.stream, "response.flags", 0);
    if (!options.isMirrored) host.setProperty(this.stream, "connection_id", 1);
  }

  begin(end: boolean): void {
    this.host.requestHeaders(this.stream, this.headers, end);
  }

  requestBody(chunk: string, end: boolean): void {
    this.host.requestBody(this.stream, chunk, end);
  }

  requestTrailers(trailers: Headers): void {
    this.host.requestTrailers(this.stream, trailers);
  }

  /** `tagger`: the client's side, which sees the primary's answer too. */
  answer(behaviour: ServerBehaviour, tagger: number | null = null): void {
    const { host } = this;
    host.advanceUs(behaviour.delayUs ?? 1000);
    if (behaviour.waitedUs !== undefined) {
      const waitedNs = behaviour.waitedUs * 1000;
      host.setProperty(this.stream, "upstream.cx_pool_ready_duration", waitedNs);
    }
    if (behaviour.transportFailure !== undefined) {
      host.setProperty(
        this.stream,
        "upstream.transport_failure_reason",
        behaviour.transportFailure,
      );
    }
    if (behaviour.resets === "before-headers") {
      this.close(behaviour.codeDetails);
      return;
    }
    const headers: Headers = [
      [":status", String(behaviour.status ?? 200)],
      ...(behaviour.headers ?? []),
    ];
    const chunks = behaviour.chunks ?? [];
    const headersEnd =
      chunks.length === 0 && behaviour.trailers === undefined && behaviour.resets === undefined;
    host.responseHeaders(this.stream, headers, headersEnd);
    if (tagger !== null) host.responseHeaders(tagger, headers, headersEnd);
    if (behaviour.resets === "after-headers") {
      this.close(behaviour.codeDetails);
      return;
    }
    const body = (chunk: string, end: boolean): void => {
      host.responseBody(this.stream, chunk, end);
      if (tagger !== null) host.responseBody(tagger, chunk, end);
    };
    chunks.forEach((chunk, index) => {
      if (index > 0) host.advanceUs(behaviour.chunkDelayUs ?? 0);
      body(chunk, false);
    });
    if (behaviour.resets === "after-chunks") {
      this.close(behaviour.codeDetails);
      return;
    }
    if (behaviour.trailers !== undefined) {
      host.responseTrailers(this.stream, behaviour.trailers);
      if (tagger !== null) host.responseTrailers(tagger, behaviour.trailers);
    } else if (chunks.length > 0) {
      // HTTP/1 servers: the end comes as an empty piece of its own.
      body("", true);
    }
    this.close(behaviour.codeDetails ?? "via_upstream");
  }

  /** Seen of a try that is followed by another: its headers, then its end. */
  answerForRetry(behaviour: ServerBehaviour): void {
    this.host.advanceUs(behaviour.delayUs ?? 1000);
    if (behaviour.resets !== "before-headers") {
      this.host.responseHeaders(this.stream, [[":status", String(behaviour.status ?? 503)]], false);
    }
    this.close(behaviour.codeDetails);
  }

  close(codeDetails?: string): void {
    if (codeDetails !== undefined) {
      this.host.setProperty(this.stream, "response.code_details", codeDetails);
    }
    this.host.closeStream(this.stream, false);
  }
}

/** The filter's configuration for one experiment, as `render envoy` writes it. */
export function pluginConfiguration(
  role: "tagger" | "observer",
  changes: {
    readonly experiment?: Record<string, unknown>;
    readonly nats?: Record<string, unknown>;
    readonly top?: Record<string, unknown>;
  } = {},
): Record<string, unknown> {
  return {
    role,
    experiments: [
      {
        name: "fraud",
        run: "0f3a5c7e9b1d",
        match: { pathPrefix: "/" },
        sampleFraction: 1,
        requestBytesMax: 1048576,
        partitions: 16,
        legs: { "fraud-primary": "primary", "fraud-shadow": "shadow", "fraud-control": "control" },
        segments: ["x-country"],
        ...changes.experiment,
      },
    ],
    nats: {
      cluster: "shadowgraph_nats",
      user: "",
      password: "",
      token: "",
      timeoutMs: 1000,
      ...changes.nats,
    },
    tickMs: 200,
    ledgerIntervalMs: 5000,
    outboxBytes: 4194304,
    ...changes.top,
  };
}

/** Both roles in one VM, as they are rendered. */
export function startProxy(
  host: ProxyHost,
  changes: Parameters<typeof pluginConfiguration>[1] = {},
): MirroringProxy {
  const tagger = host.configure(pluginConfiguration("tagger", changes));
  const observer = host.configure(pluginConfiguration("observer", changes));
  if (!tagger.accepted || !observer.accepted) {
    throw new Error(`refused: ${host.logs.map((line) => line.message).join("; ")}`);
  }
  return new MirroringProxy(host, { tagger: tagger.rootId, observer: observer.rootId });
}

/** All records that NATS holds, in the order of their arrival. */
export function storedRecords(host: ProxyHost): Record<string, unknown>[] {
  return host.nats.stored
    .filter((message) => !message.subject.endsWith(".ledger"))
    .flatMap((message) =>
      message.payload
        .split("\n")
        .slice(1, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    );
}

export interface StoredLedger {
  readonly run: string;
  readonly number: number;
  readonly final: boolean;
  readonly requests: {
    readonly seen: number;
    readonly sampled: number;
    readonly unreached: number;
    readonly unsampled: Readonly<Record<string, number>>;
  };
  readonly legs: readonly {
    readonly leg: string;
    readonly requests: number;
    readonly attempts: number;
    readonly endings: Readonly<Record<string, number>>;
    readonly published: number;
    readonly dropped: Readonly<Record<string, number>>;
  }[];
  readonly batches: { readonly sent: number; readonly retried: number; readonly failed: number };
}

export function storedLedgers(host: ProxyHost): StoredLedger[] {
  return host.nats.stored
    .filter((message) => message.subject.endsWith(".ledger"))
    .map((message) => JSON.parse(message.payload) as StoredLedger);
}
