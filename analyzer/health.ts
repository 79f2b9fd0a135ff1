import type { Log } from "./log.ts";

/** `starting`: never reached yet; `up`; `down`: the analyzer waits for it, and loses nothing meanwhile. */
export type ServiceState = "starting" | "up" | "down";

export interface ServiceHealth {
  readonly state: ServiceState;
  /** When it came into this state, ISO 8601. */
  readonly since: string;
  /** Why it is down, in one sentence; empty when up. */
  readonly message: string;
}

export interface LaneHealth {
  readonly lane: number;
  /** This analyzer reads the lane; otherwise it stands by. */
  readonly owner: boolean;
  /** Last stream sequence that was joined. */
  readonly sequence: number;
  /** Messages in the stream that this lane has not joined yet; null until it is known. */
  readonly lagMessages: number | null;
  /** Stream time up to which windows are closed, µs since 1970; 0 before the first message. */
  readonly watermarkUs: number;
  /** The same, less what is not in ClickHouse yet: everything that closed up to then is stored. */
  readonly storedUs: number;
}

export interface HealthSnapshot {
  readonly nats: ServiceHealth;
  readonly clickhouse: ServiceHealth;
  readonly lanes: readonly LaneHealth[];
  /** Observations that wait for a partner, over the lanes that this analyzer owns. */
  readonly waiting: number;
}

/** What the HTTP side sees of the running analyzer. */
export interface HealthSource {
  snapshot(): HealthSnapshot;
}

/** State of one service; says each change in the log, once. */
export class ServiceMonitor {
  #state: ServiceState = "starting";
  #since = new Date();
  #message = "";
  readonly #name: string;
  readonly #log: Log;

  constructor(name: string, log: Log) {
    this.#name = name;
    this.#log = log;
  }

  up(): void {
    if (this.#state === "up") return;
    this.#change("up", "");
    this.#log.info({ service: this.#name }, `${this.#name} is reachable`);
  }

  down(message: string, code?: string): void {
    if (this.#state === "down") {
      this.#message = message;
      return;
    }
    this.#change("down", message);
    this.#log.warn(
      { service: this.#name, code },
      `${this.#name} is away, waiting for it: ${message}`,
    );
  }

  snapshot(): ServiceHealth {
    return { state: this.#state, since: this.#since.toISOString(), message: this.#message };
  }

  #change(state: ServiceState, message: string): void {
    this.#state = state;
    this.#since = new Date();
    this.#message = message;
  }
}

/** Collects what main and the lanes know, for the HTTP side. */
export class Health implements HealthSource {
  readonly nats: ServiceMonitor;
  readonly clickhouse: ServiceMonitor;
  #lanes: () => readonly LaneHealth[] = () => [];
  #waiting: () => number = () => 0;

  constructor(log: Log) {
    this.nats = new ServiceMonitor("NATS", log);
    this.clickhouse = new ServiceMonitor("ClickHouse", log);
  }

  /** Ingest starts after the HTTP side, so that its waiting can be seen. */
  watchLanes(lanes: () => readonly LaneHealth[], waiting: () => number): void {
    this.#lanes = lanes;
    this.#waiting = waiting;
  }

  snapshot(): HealthSnapshot {
    return {
      nats: this.nats.snapshot(),
      clickhouse: this.clickhouse.snapshot(),
      lanes: this.#lanes(),
      waiting: this.#waiting(),
    };
  }
}
