// A TCP proxy on 127.0.0.1 that delays and loses what it is told to.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";

export interface FaultProxy {
  /** `127.0.0.1:port` */
  readonly endpoint: string;
  readonly port: number;
  /** Drops the connections and refuses new ones. */
  cut(): void;
  /** Takes new connections again. */
  mend(): void;
  /** Drops the connections; new ones are whole. */
  reset(): void;
  /** On the connections that are open, lets nothing more through; new ones are whole. */
  swallow(what: "all" | "answers"): void;
  /** Holds every piece for so long, both ways, from now on; also on connections that are open. */
  delay(latencyMs: number): void;
  /**
   * The next answer of Kafka's protocol to a request with this api key that has `naming` in its first bytes is not let through, and its
   * connection is dropped in its place. Resolves when that has happened.
   */
  dropReply(request: KafkaRequest): Promise<void>;
  /** Connections that are open. */
  readonly connections: number;
  close(): void;
}

export interface KafkaRequest {
  /** 0 is Produce. */
  readonly apiKey: number;
  /** A topic, for one. */
  readonly naming: string;
}

interface AwaitedReply extends KafkaRequest {
  readonly done: () => void;
}

/** What is looked at of a message: the client id, the transactional id and the name of the first topic stand here. */
const headBytes = 512;

export interface FaultProxyOptions {
  /** Its own port. Default: a free one. */
  readonly listen?: number;
  /** `kafka` for `dropReply`. Default: bytes that nobody looks at. */
  readonly protocol?: "kafka";
}

/** @param port where it connects to on 127.0.0.1 */
export async function startFaultProxy(port: number, options: FaultProxyOptions = {}): Promise<FaultProxy> {
  const clients = new Set<Socket>();
  const upstreams = new Set<Socket>();
  let open = true;
  let latencyMs = 0;
  let awaited: AwaitedReply | undefined;

  function join(from: Socket, through: Transform, to: Socket, among: Set<Socket>): void {
    among.add(from);
    from.pipe(through).pipe(to);
    // A reset is one of the things that happen here; "close" follows it.
    from.on("error", () => to.destroy());
    from.on("close", () => {
      among.delete(from);
      to.destroy();
    });
  }

  const server = createServer((client) => {
    if (!open) {
      client.destroy();
      return;
    }
    const upstream = connect({ port, host: "127.0.0.1", noDelay: true });
    client.setNoDelay(true);
    const { requests, answers } = options.protocol === "kafka" ? watchReplies(() => client.destroy()) : passAll;
    join(client, hold(requests), upstream, clients);
    join(upstream, hold(answers), client, upstreams);
  });

  /** Lets pieces through, after the latency, for which `watch` answers true. */
  function hold(watch: (piece: Buffer) => boolean): Transform {
    return new Transform({
      transform(piece: Buffer, _encoding, callback) {
        if (!watch(piece)) callback();
        else if (latencyMs > 0) setTimeout(callback, latencyMs, null, piece);
        else callback(null, piece);
      },
    });
  }

  /** For one connection. */
  function watchReplies(drop: () => void): typeof passAll {
    /** The correlation id of the request whose answer is to be lost. */
    let lostId: number | undefined;
    const requests = kafkaMessages((head) => {
      if (awaited !== undefined && head.readInt16BE(4) === awaited.apiKey && head.includes(awaited.naming)) {
        lostId ??= head.readInt32BE(8);
      }
      return true;
    });
    const answers = kafkaMessages((head) => {
      if (lostId === undefined || head.readInt32BE(4) !== lostId) return true;
      lostId = undefined;
      // Other connections may have sent such a request as well: one answer is lost, not two.
      if (awaited === undefined) return true;
      const { done } = awaited;
      awaited = undefined;
      drop();
      done();
      return false;
    });
    return { requests, answers };
  }

  await new Promise<void>((resolve) => server.listen(options.listen ?? 0, "127.0.0.1", resolve));
  const ownPort = (server.address() as AddressInfo).port;

  const reset = (): void => {
    for (const socket of [...clients, ...upstreams]) socket.destroy();
  };
  const cut = (): void => {
    open = false;
    reset();
  };
  return {
    endpoint: `127.0.0.1:${ownPort}`,
    port: ownPort,
    cut,
    mend() {
      open = true;
    },
    reset,
    swallow(what) {
      for (const socket of what === "all" ? [...clients, ...upstreams] : upstreams) socket.unpipe().resume();
    },
    delay(ms) {
      latencyMs = ms;
    },
    dropReply(request) {
      return new Promise((resolve) => {
        awaited = { ...request, done: resolve };
      });
    },
    get connections() {
      return clients.size;
    },
    close() {
      cut();
      server.close();
    },
  };
}

const passAll = { requests: (_piece: Buffer): boolean => true, answers: (_piece: Buffer): boolean => true };

/** Calls `onHead` with the first bytes of each message, whole pieces or not. The answer for a piece: whether every call was content. */
function kafkaMessages(onHead: (head: Buffer) => boolean): (piece: Buffer) => boolean {
  const sizeBytes = 4;
  let head = Buffer.alloc(0);
  let wanted = sizeBytes;
  /** Of the message, after its head. */
  let remaining = 0;
  return (piece) => {
    let content = true;
    let at = 0;
    while (at < piece.length) {
      const skipped = Math.min(remaining, piece.length - at);
      remaining -= skipped;
      at += skipped;
      const taken = piece.subarray(at, at + wanted - head.length);
      at += taken.length;
      head = Buffer.concat([head, taken]);
      if (head.length < wanted) continue;
      const size = sizeBytes + head.readInt32BE(0);
      if (wanted === sizeBytes && size > sizeBytes) {
        wanted = Math.min(size, headBytes);
        continue;
      }
      content = onHead(head) && content;
      remaining = size - head.length;
      head = Buffer.alloc(0);
      wanted = sizeBytes;
    }
    return content;
  };
}
