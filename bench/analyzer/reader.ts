import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { decodeMessage } from "../../analyzer/observation/decode.ts";
import { PARTITIONS_DEFAULT } from "../../wire/format.ts";

/**
 * A process of its own that reads a stream to its end, with the client library and the consumer that the analyzer uses,
 * and prints what it took:
 *
 *   node --import tsx bench/analyzer/reader.ts URL STREAM LAST_SEQUENCE (read | decode)
 */
const [url, stream, lastSequence, mode] = process.argv.slice(2) as [string, string, string, string];

export interface ReaderReport {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly messages: number;
  readonly bytes: number;
  /** 0 when nothing was decoded. */
  readonly records: number;
}

/** As in analyzer/ingest/reader.ts. */
const FETCH = { max_bytes: 8_388_608, expires: 5_000 };

const connection = await connect({ servers: url });
const manager = await jetstreamManager(connection);
const report = { wallMs: 0, cpuMs: 0, messages: 0, bytes: 0, records: 0 };
const startedMs = performance.now();
const startedCpu = process.cpuUsage();
const { name } = await manager.consumers.add(stream, {
  ack_policy: AckPolicy.None,
  deliver_policy: DeliverPolicy.StartSequence,
  opt_start_seq: 1,
  filter_subjects: ["shadow.v1.>"],
  mem_storage: true,
  num_replicas: 1,
});
const consumer = await jetstream(connection).consumers.get(stream, name);
let sequence = 0;
while (sequence < Number(lastSequence)) {
  try {
    for await (const message of await consumer.fetch(FETCH)) {
      sequence = message.seq;
      report.messages += 1;
      report.bytes += message.data.byteLength;
      if (mode === "decode") {
        const { subject, data } = message;
        const decoded = decodeMessage({
          subject,
          data,
          sequence,
          receivedAtUs: Math.floor(message.info.timestampNanos / 1_000),
          partitions: PARTITIONS_DEFAULT,
        });
        if (decoded.kind !== "batch") throw new Error(`message ${sequence} is a ${decoded.kind}`);
        report.records += decoded.observations.length;
      }
      if (sequence === Number(lastSequence)) break;
    }
  } catch (error) {
    // A portion is full by its bytes or by its messages: a good end of a fetch, told as an error.
    if (!/exceeds maxbytes|batch completed/i.test(String(error))) throw error;
  }
}
report.wallMs = performance.now() - startedMs;
const { user, system } = process.cpuUsage(startedCpu);
report.cpuMs = (user + system) / 1_000;
await manager.consumers.delete(stream, name);
await connection.close();
process.stdout.write(JSON.stringify(report));
