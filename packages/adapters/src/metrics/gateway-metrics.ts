// The gateway's metrics (CONTRACT §8) for Prometheus: hot-path counts are read from plain numbers when they are scraped.
import type { Gateway, Observer } from "@im-gateway/core";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface GatewayMetrics {
  /** Goes to `createGateway`. */
  readonly observer: Observer;
  /** What /metrics answers, once the gateway is there. */
  render(gateway: Gateway): Promise<string>;
  readonly contentType: string;
}

export interface GatewayMetricsOptions {
  readonly version: string;
  /** Name and version of what runs this: "node 24.21.0". */
  readonly runtime: string;
}

const prefix = "im_gateway_";
const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createGatewayMetrics({ version, runtime }: GatewayMetricsOptions): GatewayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const counter = <L extends string>(name: string, help: string, ...labelNames: readonly L[]): Counter<L> =>
    new Counter({ name: prefix + name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: readonly L[]): Gauge<L> =>
    new Gauge({ name: prefix + name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, ...labelNames: readonly L[]): Histogram<L> =>
    new Histogram({ name: prefix + name, help, labelNames, registers, buckets: secondsBuckets });

  const requests = counter("http_requests_total", "HTTP requests answered", "method", "route", "status");
  const requestSeconds = histogram("http_request_duration_seconds", "Time to answer a request", "method", "route");
  const calls = counter("grpc_client_calls_total", "Calls to im-logic", "method", "code");
  const callSeconds = histogram("grpc_client_call_duration_seconds", "Time that a call to im-logic took", "method");
  const publishSeconds = histogram("kafka_publish_duration_seconds", "Time until Kafka had stored an upstream record");

  const connections = gauge("websocket_connections", "Sockets that are open");
  const opened = counter("websocket_connections_opened_total", "Sockets opened");
  const closed = counter(
    "websocket_connections_closed_total",
    "Sockets closed, by close code; other: what a peer made up",
    "code",
  );
  const frames = counter("websocket_frames_total", "Frames", "direction", "type");
  const bytes = counter("websocket_bytes_total", "Bytes of frames", "direction");
  const buffered = gauge("websocket_buffered_bytes", "Bytes that wait for slow readers");
  const deliveries = counter("deliveries_total", "Downstream records by what became of them", "result");
  const resumes = counter("resumes_total", "Resume frames, by complete or the reason of the resync-required", "result");
  const produced = counter("kafka_records_produced_total", "Records that Kafka stored", "topic");
  const consumed = counter("kafka_records_consumed_total", "Records received", "topic");
  const failures = counter("kafka_record_failures_total", "Records not stored, or not readable", "topic", "reason");
  const duplicates = counter(
    "upstream_duplicates_total",
    "Messages of clients acked as duplicates: they were stored, or on their way, already",
  );
  const refused = counter("refused_total", "What was refused, or closed, because of too much", "reason");
  const dropped = counter("user_events_dropped_total", "Ends of connections dropped since too many waited for Kafka");
  const lag = gauge("kafka_consumer_lag_records", "Downstream records still to come after the last batch");
  const ready = gauge("ready", "1 when the gateway is ready");
  gauge("build_info", "What runs", "version", "runtime").set({ version, runtime }, 1);

  const read = (gateway: Gateway): void => {
    const { counters } = gateway;
    connections.set(gateway.connections);
    buffered.set(gateway.bufferedBytes);
    lag.set(counters.consumerLagRecords);
    ready.set(gateway.unready().length === 0 ? 1 : 0);
    for (const metric of [
      opened,
      closed,
      frames,
      bytes,
      deliveries,
      resumes,
      produced,
      consumed,
      failures,
      dropped,
      duplicates,
      refused,
    ]) {
      metric.reset();
    }
    opened.inc(counters.connectionsOpened);
    for (const [code, count] of counters.connectionsClosed) {
      closed.inc({ code: String(code) }, count);
    }
    for (const [direction, byType, total] of [
      ["in", counters.framesIn, counters.bytesIn],
      ["out", counters.framesOut, counters.bytesOut],
    ] as const) {
      bytes.inc({ direction }, total);
      for (const [type, count] of byType) {
        frames.inc({ direction, type }, count);
      }
    }
    deliveries.inc({ result: "delivered" }, counters.deliveriesDelivered);
    deliveries.inc({ result: "dropped" }, counters.deliveriesDropped);
    deliveries.inc({ result: "offline" }, counters.deliveriesOffline);
    deliveries.inc({ result: "kept" }, counters.deliveriesKept);
    for (const [result, count] of counters.resumes) {
      resumes.inc({ result }, count);
    }
    for (const [topic, count] of counters.recordsProduced) {
      produced.inc({ topic }, count);
    }
    dropped.inc(counters.userEventsDropped);
    duplicates.inc(counters.upstreamDuplicates);
    for (const [reason, count] of counters.refused) {
      refused.inc({ reason }, count);
    }
    consumed.inc({ topic: "downstream" }, counters.recordsConsumed);
    for (const [topic, reasons] of counters.recordFailures) {
      for (const [reason, count] of reasons) {
        failures.inc({ topic, reason }, count);
      }
    }
  };

  return {
    contentType: registry.contentType,
    observer: {
      published: (seconds) => publishSeconds.observe(seconds),
      called(method, code, seconds) {
        calls.inc({ method, code });
        callSeconds.observe({ method }, seconds);
      },
      answered(method, route, status, seconds) {
        requests.inc({ method, route, status: String(status) });
        requestSeconds.observe({ method, route }, seconds);
      },
    },
    async render(gateway) {
      read(gateway);
      return registry.metrics();
    },
  };
}
