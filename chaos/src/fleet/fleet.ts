// Clients by the thousand: each reconnects as the client SDK does, resumes from its cursors, and keeps an inbox.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { waitFor } from "@im-gateway/tools/process";
import { LiveOrder, type Named, ResumeAnswer } from "../wire-order.ts";
import { Inbox } from "./inbox.ts";
import { RawSocket, type SocketEnd } from "./raw-socket.ts";
import { sync } from "./sync.ts";

export interface Device {
  readonly userId: string;
  readonly token: string;
}

export interface FleetOptions {
  readonly devices: readonly Device[];
  /**
   * Ports of gateways that may be dialled now, as a load balancer would have them: one is taken by chance, the next where nobody listens or
   * HTTP 503 answers.
   */
  readonly targets: (client: Client) => readonly number[];
  /** Between tries, instead of the SDK's jitter and the gateway's window: for a client that measures. */
  readonly retryMs?: number;
  readonly onAck?: (ack: Ack) => void;
  /** A frame that answers no send: of every client. */
  readonly onFrame?: (client: Client, frame: Frame) => void;
}

export interface Ack {
  readonly clientMsgId: string;
  readonly content: string;
  readonly conversationId: string;
  /** From the first sending, with all that was repeated. */
  readonly tookMs: number;
  /** How often the client had to send it. */
  readonly sendings: number;
}

export interface Frame {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Unix milliseconds of the gateway's clock. */
  readonly timestamp: number;
}

export interface FleetCounts {
  connected: number;
  /** Handshakes that HTTP refused, and TCP connections that nobody took. */
  refusals: number;
  resumed: number;
  resyncs: number;
  /** `goaway` frames. */
  goaways: number;
  /** Ends of sockets by close code. */
  readonly closes: Map<number, number>;
  /** Errors of sends, by reason. */
  readonly errors: Map<string, number>;
}

interface Pending {
  readonly conversationId: string;
  readonly content: string;
  readonly sentMs: number;
  sendings: number;
}

/** The message_id that the closing frame of a resume echoes. */
const resumeId = "resume";
const baseMs = 500;
const capMs = 30_000;
const connectingAtOnce = 100;
/** What a process has open beside its sockets, and those that are just being replaced. */
const otherFiles = 500;
const final: ReadonlySet<number> = new Set([1000, 1003, 1007, 1009]);

/** A class with private fields, not a closure: there are thousands. */
export class Client {
  readonly index: number;
  readonly device: Device;
  readonly inbox: Inbox = new Inbox();
  readonly #fleet: FleetOptions;
  readonly #counts: FleetCounts;
  /** Sent and not acked: sent again on the next connection, with the same client_msg_id. */
  readonly #pending = new Map<string, Pending>();
  #socket: RawSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempt = 0;
  #window: { readonly afterMs: number; readonly withinMs: number } | undefined;
  #stopped = true;
  /** Of a resume that is not answered yet. */
  #answer: ResumeAnswer | undefined;
  /** While `#syncs` > 0 and the resume is answered. */
  #live: LiveOrder | undefined;
  /** So many reads of what resync-required named are under way on this connection. */
  #syncs = 0;
  /** The gateway's port of the last dial. */
  port = 0;
  online = false;
  connectionId = "";
  /** When each `connected` came, by `performance.now`. */
  readonly connectedMs: number[] = [];
  /** When each connection ended. */
  readonly endedMs: number[] = [];
  lastCode = 0;

  constructor(index: number, device: Device, fleet: FleetOptions, counts: FleetCounts) {
    this.index = index;
    this.device = device;
    this.#fleet = fleet;
    this.#counts = counts;
  }

  /** Everything that was missed is here, or was asked for in vain. */
  get settled(): boolean {
    return this.online && !this.#catchingUp;
  }

  get #catchingUp(): boolean {
    return this.#answer !== undefined || this.#syncs > 0;
  }

  get pending(): number {
    return this.#pending.size;
  }

  start(): void {
    this.#stopped = false;
    this.#dial([]);
  }

  /** For good. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#socket = undefined;
    this.online = false;
  }

  /** Without a word to the server; it comes back by itself. */
  cut(): void {
    if (this.#socket === undefined) return;
    this.#socket.destroy();
    this.#ended({ code: 1006, refused: false }, []);
  }

  /** Leaves for the gateway of that port at once, as a device that changes its network. */
  hop(port: number): void {
    this.#socket?.destroy();
    clearTimeout(this.#timer);
    this.online = false;
    this.#open(port, []);
  }

  /** For good: it does not come back when its socket ends either. */
  stopReading(): void {
    this.#stopped = true;
    this.#socket?.stopReading();
  }

  /** @returns its client_msg_id */
  say(conversationId: string, content: string): string {
    const clientMsgId = randomUUID();
    this.#pending.set(clientMsgId, { conversationId, content, sentMs: performance.now(), sendings: 0 });
    if (this.online) this.#send(clientMsgId);
    return clientMsgId;
  }

  #send(clientMsgId: string): void {
    const pending = this.#pending.get(clientMsgId);
    if (pending === undefined || !this.online) return;
    const { conversationId, content } = pending;
    pending.sendings += 1;
    this.#frame("send-message", clientMsgId, {
      conversation_id: conversationId,
      message_type: 1,
      content,
      client_msg_id: clientMsgId,
    });
  }

  #frame(type: string, messageId: string, data: unknown): void {
    this.#socket?.send(JSON.stringify({ type, message_id: messageId, data, timestamp: 0 }));
  }

  /** @param tried targets that are away */
  #dial(tried: readonly number[]): void {
    if (this.#stopped) return;
    const targets = this.#fleet.targets(this).filter((port) => !tried.includes(port));
    const port = targets[Math.floor(Math.random() * targets.length)];
    if (port === undefined) {
      this.#later();
    } else {
      this.#open(port, tried);
    }
  }

  #open(port: number, tried: readonly number[]): void {
    this.port = port;
    const socket = new RawSocket({
      port,
      token: this.device.token,
      onText: (text) => {
        if (this.#socket === socket) this.#take(text);
      },
      onEnd: (end) => {
        if (this.#socket === socket) this.#ended(end, [...tried, port]);
      },
    });
    this.#socket = socket;
  }

  #ended(end: SocketEnd, tried: readonly number[]): void {
    this.#socket = undefined;
    const was = this.online;
    this.online = false;
    if (was) {
      this.lastCode = end.code;
      this.endedMs.push(performance.now());
      this.#counts.closes.set(end.code, (this.#counts.closes.get(end.code) ?? 0) + 1);
    } else {
      this.#counts.refusals += 1;
    }
    if (end.code >= 4500 || final.has(end.code) || end.status === 401) {
      this.#stopped = true;
    } else if (!was && (end.refused || end.status === 503)) {
      this.#dial(tried);
    } else {
      this.#later();
    }
  }

  /** As `reconnectDelayMs` of the SDK: full jitter, or the gateway's own window. */
  #later(): void {
    if (this.#stopped) return;
    const window = this.#window;
    const bound = Math.min(capMs, baseMs * 2 ** this.#attempt);
    const jitterMs = window === undefined ? Math.random() * bound : window.afterMs + Math.random() * window.withinMs;
    this.#attempt += 1;
    this.#window = undefined;
    this.#timer = setTimeout(() => this.#dial([]), this.#fleet.retryMs ?? jitterMs);
  }

  #take(text: string): void {
    const { type, message_id, data, timestamp } = JSON.parse(text) as Frame & { readonly message_id: string };
    switch (type) {
      case "connected":
        this.online = true;
        this.connectionId = String(data.connection_id);
        this.connectedMs.push(performance.now());
        this.#attempt = 0;
        this.#counts.connected += 1;
        this.#resume(this.inbox.cursors());
        for (const clientMsgId of this.#pending.keys()) this.#send(clientMsgId);
        break;
      case "new-message":
        this.#message(String(data.conversation_id), Number(data.seq_id), String(data.content));
        break;
      case "message-stored":
        // In the new-message's place, for what this very connection has sent.
        this.#message(String(data.conversation_id), Number(data.seq_id), undefined);
        break;
      case "message-ack":
        this.#acked(String(data.client_msg_id));
        break;
      case "error":
        this.#refused(message_id, data);
        break;
      case "resumed":
        this.#counts.resumed += 1;
        this.#answered("none");
        break;
      case "resync-required":
        this.#counts.resyncs += 1;
        this.#resync(message_id, Array.isArray(data.conversation_ids) ? data.conversation_ids.map(String) : []);
        break;
      case "goaway": {
        this.#counts.goaways += 1;
        const [afterMs, withinMs] = [Number(data.reconnect_after_ms), Number(data.reconnect_within_ms)];
        this.#window = afterMs + withinMs > 0 ? { afterMs, withinMs } : undefined;
        break;
      }
      default:
        break;
    }
    this.#fleet.onFrame?.(this, { type, data, timestamp });
  }

  #resume(cursors: Readonly<Record<string, number>>): void {
    this.#answer = new ResumeAnswer(cursors);
    this.#live = undefined;
    this.#syncs = 0;
    this.#frame("resume", resumeId, { cursors });
  }

  #answered(named: Named): void {
    if (this.#answer === undefined) return;
    this.inbox.disordered += this.#answer.disordered(named).length;
    this.#live = new LiveOrder(this.#answer.heads(), named);
    this.#answer = undefined;
  }

  #resync(messageId: string, named: readonly string[]): void {
    if (messageId === resumeId) this.#answered(named);
    if (this.#answer === undefined) {
      if (this.#syncs === 0) this.#live = new LiveOrder(this.inbox.cursors(), named);
      else this.#live?.resync(named);
    }
    void this.#sync();
  }

  #message(conversationId: string, seqId: number, content: string | undefined): void {
    this.#answer?.take(conversationId, seqId);
    if (this.#syncs > 0 && this.#live?.take(conversationId, seqId) !== undefined) this.inbox.gaps += 1;
    this.inbox.take({ conversationId, seqId, content }, this.#catchingUp);
  }

  #acked(clientMsgId: string): void {
    const pending = this.#pending.get(clientMsgId);
    if (pending === undefined) return;
    this.#pending.delete(clientMsgId);
    const { conversationId, content, sentMs, sendings } = pending;
    this.#fleet.onAck?.({ clientMsgId, conversationId, content, sendings, tookMs: performance.now() - sentMs });
  }

  #refused(messageId: string, data: Readonly<Record<string, unknown>>): void {
    const reason = String(data.reason);
    this.#counts.errors.set(reason, (this.#counts.errors.get(reason) ?? 0) + 1);
    if (!this.#pending.has(messageId)) return;
    setTimeout(() => this.#send(messageId), Number(data.retry_after_ms ?? 0) + Math.random() * 500);
  }

  /** Told that something may be missing: reads it over REST. */
  async #sync(): Promise<void> {
    const { connectionId } = this;
    this.#syncs += 1;
    for (let complete = false; !complete && this.connectionId === connectionId && !this.#stopped; ) {
      const answer = await sync(this.port, this.device.token, this.inbox.cursors());
      for (const message of answer.messages) this.inbox.take(message, true);
      complete = answer.complete;
    }
    // A later connection asks for itself, by its own resume.
    if (this.connectionId === connectionId) this.#syncs -= 1;
  }
}

export interface Fleet {
  readonly clients: readonly Client[];
  readonly counts: FleetCounts;
  /** Clients with a connection. */
  readonly online: number;
  /** Connects everyone, some at a time; resolves when all have been told what they missed. */
  start(timeoutMs: number): Promise<void>;
  stop(): void;
}

export function createFleet(options: FleetOptions): Fleet {
  const counts: FleetCounts = {
    connected: 0,
    refusals: 0,
    resumed: 0,
    resyncs: 0,
    goaways: 0,
    closes: new Map(),
    errors: new Map(),
  };
  const clients = options.devices.map((device, index) => new Client(index, device, options, counts));
  return {
    clients,
    counts,
    get online() {
      return clients.filter(({ online }) => online).length;
    },
    async start(timeoutMs) {
      const limit = openFilesLimit();
      if (clients.length + otherFiles > limit) {
        throw new Error(`${clients.length} sockets here and in the gateways need a higher ulimit -n: it is ${limit}`);
      }
      for (let first = 0; first < clients.length; first += connectingAtOnce) {
        const some = clients.slice(first, first + connectingAtOnce);
        for (const client of some) client.start();
        await waitFor(() => some.every(({ settled }) => settled), {
          timeoutMs,
          what: () =>
            `clients ${first}–${first + some.length - 1} connected: ${some.filter((one) => !one.settled).length} are not`,
        });
      }
    },
    stop() {
      for (const client of clients) client.stop();
    },
  };
}

/** Of this process and of those that it starts; Linux. */
function openFilesLimit(): number {
  const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit);
}
