// The `im-gateway` command: configuration → parts → gateway → open port, and back again on SIGTERM. A runtime brings its server.
import { createGateway, type GatewayOptions } from "@im-gateway/core";
import { formatAddress, type GatewayConfig, gatewayConfig } from "../config/index.ts";
import { createLogger } from "../log/index.ts";
import { createGatewayMetrics, serveMetrics } from "../metrics/index.ts";
import { advertisedAddress } from "./advertised-address.ts";
import { readChatPage } from "./chat-page.ts";
import type { CreateEmbeddedLogic } from "./embedded-logic.ts";
import { createGatewayParts } from "./gateway-parts.ts";
import type { ServeGateway } from "./gateway-server.ts";
import { serveInternal } from "./internal-server.ts";
import { logFormat } from "./log-format.ts";
import { createMemoryUse } from "./memory-use.ts";
import { opened } from "./opened.ts";
import { runProgram } from "./run-program.ts";
import { tryNext } from "./try-next.ts";
import { aborted, whenReady } from "./when-ready.ts";

export interface GatewayProgram {
  readonly version: string;
  /** Name and version of what runs this: "node 24.21.0". */
  readonly runtime: string;
  readonly serveGateway: ServeGateway;
  /** The im-logic to embed where the configuration names none. */
  readonly createLogic: CreateEmbeddedLogic;
  /** How much of the largest heap that it may have the runtime uses, 0 to 1. Absent: it has no such limit. */
  readonly heapShare?: () => number;
  /** As `createGateway` takes it. */
  readonly defer: NonNullable<GatewayOptions["defer"]>;
}

/** Never returns: it ends the process. */
export function runGateway(program: GatewayProgram): Promise<never> {
  return runProgram({
    name: "im-gateway",
    summary: "the messaging gateway between clients (HTTP, WebSocket) and a chat back end (gRPC, Kafka, etcd)",
    version: program.version,
    config: gatewayConfig,
    serve: (config, stop, requestStop) => serve(program, config, stop, requestStop),
  });
}

async function serve(
  program: GatewayProgram,
  config: GatewayConfig,
  stop: AbortSignal,
  requestStop: () => void,
): Promise<void> {
  const { version, runtime, serveGateway, createLogic, defer } = program;
  const { gatewayId, server, websocket, jwt } = config;
  const logger = createLogger({
    level: config.log.level,
    format: logFormat(config, process.stdout.isTTY),
    fields: { gateway_id: gatewayId },
  });
  const log = logger.module("server");
  const parts = createGatewayParts(config, logger, createLogic);
  const pages = parts.embedded === undefined ? undefined : await readChatPage();
  const metrics = createGatewayMetrics({ version, runtime });
  const gateway = createGateway({
    gatewayId,
    version,
    producer: parts.producer,
    consumer: parts.consumer,
    ...(config.madeUpId ? { removeTopic: parts.removeTopic } : {}),
    registry: parts.registry,
    transport: parts.transport,
    topics: parts.topics,
    log: logger.module("gateway"),
    jwt: {
      secret: jwt.secret,
      acceptedTypes: jwt.acceptedTypes,
      ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
    },
    websocket,
    limits: config.limits,
    memoryUse: createMemoryUse(config.limits.memoryBytes || undefined, program.heapShare),
    maxBodyBytes: server.maxBodyBytes,
    ...(server.allowedQueryKeys === undefined ? {} : { allowedQueryKeys: server.allowedQueryKeys }),
    unready: parts.unready,
    ...(pages === undefined ? {} : { pages }),
    observer: metrics.observer,
    drainWindowMs: Math.min(server.drainTimeoutMs * windowShare, maxDrainWindowMs),
    revocationHoldMs: jwt.accessTokenExpireMs,
    requestDrain: requestStop,
    ...(config.internal.token === undefined ? {} : { internalToken: config.internal.token }),
    defer,
  });
  const serving = serveGateway({
    gateway,
    host: server.httpAddr.host,
    port: server.httpAddr.port,
    log: logger.module("http"),
    wsPath: server.wsPath,
    maxFrameBytes: websocket.maxFrameBytes,
    readTimeoutMs: server.readTimeoutMs,
    writeTimeoutMs: server.writeTimeoutMs,
  });
  const listening = await opened("server.http_addr", serving);
  const scraping = serveMetrics({
    render: () => metrics.render(gateway),
    contentType: metrics.contentType,
    addr: config.metrics.addr,
    log: logger.module("metrics"),
  });
  const scraped = await opened("metrics.addr", scraping);
  const answering = serveInternal({
    gateway,
    addr: config.internal.addr,
    readTimeoutMs: server.readTimeoutMs,
    log: logger.module("internal"),
  });
  const internal = await opened("internal.addr", answering);
  try {
    const over = AbortSignal.any([stop, gateway.stopped]);
    const ready = whenReady(gateway.unready, over, log);
    const { address, port } = advertisedAddress(internal, config.internal.advertiseAddr);
    const internalAddr = formatAddress({ host: address, port });
    await gateway.start({ ...advertisedAddress(listening, server.advertiseAddr), internalAddr }, stop);
    const accounts = config.appEnv === "development" ? await parts.embedded?.createDemoAccounts() : undefined;
    if (await ready) {
      log("info", "listening", {
        http_addr: formatAddress(listening),
        metrics_addr: formatAddress(scraped),
        internal_addr: formatAddress(internal),
      });
      if (accounts !== undefined) {
        const base = `http://localhost:${listening.port}`;
        process.stderr.write(tryNext(base, accounts, server.wsPath, config.dataDir, pages !== undefined));
      }
      await aborted(over);
    }
    if (!stop.aborted) {
      throw new Error(`another process holds the key of ${gatewayId}`);
    }
  } finally {
    log("info", "draining");
    const deadline = AbortSignal.timeout(server.drainTimeoutMs);
    // Until no socket is left the port stays open: load balancers send requests for a while yet, and find out by them.
    const httpEnd = AbortSignal.timeout(server.drainTimeoutMs * httpShare);
    const ending = async (): Promise<void> => {
      await gateway.drain(deadline, () => listening.close(httpEnd));
      await parts.close();
      await internal.close();
      await scraped.close();
    };
    const late = aborted(AbortSignal.timeout(server.drainTimeoutMs + lateMs)).then(() => "late");
    const outcome = await Promise.race([ending(), late]);
    log(outcome === "late" ? "warn" : "info", "ended", outcome === "late" ? { cut_short: true } : {});
  }
}

/** With what comes after it, within the 10 s that docker and others give a process by default. */
const maxDrainWindowMs = 8_000;
/** Of the drain, for the waves. */
const windowShare = 0.6;
/** Of the drain: HTTP requests are cut then, so that what is to be published has the rest. */
const httpShare = 0.75;
/** What the parts have to let go once the drain's time is over, before they are left as they are. */
const lateMs = 1000;
