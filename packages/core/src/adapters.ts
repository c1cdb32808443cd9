// Every interface that a runtime or a vendor fills. Adapters throw and reject with `ConnectError` only; nothing here names a runtime.

/** A frame as sockets get it: one object for all of them. */
export interface EncodedFrame {
  /** JSON. */
  readonly text: string;
  /** It may be dropped for a reader that is behind: it says nothing any more when it comes late. */
  readonly lossy: boolean;
  /** The adapter's own: what it makes of `text` is made once for all sockets. Undefined until then. */
  prepared: Uint8Array | undefined;
}

/** One upgraded client socket, as a runtime hands it to the gateway. */
export interface Socket {
  /** Bytes that `write` took and the operating system has not: what a slow reader costs. */
  readonly bufferedBytes: number;
  /**
   * Sends text frames, in order, in one system call where the runtime can (cork). The gateway gathers what one turn of the event loop has
   * for a socket and calls this once. Never throws; on a socket that is closing it does nothing.
   * @returns the UTF-8 bytes of the frames' texts; 0 where it did nothing
   */
  write(frames: readonly EncodedFrame[]): number;
  /** Sends a WebSocket ping; the pong comes back through `SocketEvents.activity`. */
  ping(): void;
  /** Starts the closing handshake (RFC 6455 §7.1.2) after what was written; the adapter ends the socket by itself if the peer never answers. */
  close(code: number, reason: string): void;
}

/** What a runtime tells the gateway about a socket that `Gateway.open` accepted. Each is synchronous and never throws. */
export interface SocketEvents {
  /** A text frame of the client. @param bytes its length on the wire */
  text(data: string, bytes: number): void;
  /** A binary frame; this sub-protocol has none. */
  binary(): void;
  /** Anything else that proves the peer alive: a ping or a pong. */
  activity(): void;
  /**
   * Nothing more can be sent, since one side has begun to close: `closed` follows. Where a runtime does not tell, `closed` alone will do. May
   * come more than once. @param code as `closed` will have it
   */
  closing(code: number): void;
  /** The socket is gone. Called exactly once, whoever closed it. @param code what this side closed with if it did, else the peer's, else 1006 */
  closed(code: number, reason: string): void;
}

export interface ProducerRecord {
  readonly topic: string;
  readonly key: string;
  /** A string as its UTF-8. */
  readonly value: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Producer {
  /**
   * Resolves when the record is stored for good (Kafka: acks=all). Records of one key are stored in the order of the calls.
   * Rejects with `unavailable`, `deadline_exceeded`, `resource_exhausted` (too much waits already) or `invalid_argument` (too large). A rejected
   * record may still have been stored.
   */
  send(record: ProducerRecord): Promise<void>;
  /** Sends what waits, then lets go of everything. Later calls of `send` reject with `unavailable`. */
  close(): Promise<void>;
}

export interface ConsumerRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly key: string | null;
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** A topic as whoever starts first creates it. */
export interface Topic {
  readonly name: string;
  readonly partitions: number;
  /** Default: the broker's. */
  readonly retentionMs?: number;
}

/** Where records are missing for good: what was written there and not yet delivered is gone. */
export interface Gap {
  readonly topic: string;
  readonly partition: number;
  /** `recreated`: the topic was deleted and made anew. `expired`: retention (or an operator) removed records before they were read. */
  readonly reason: "recreated" | "expired";
}

/** Deletes a topic and all in it; resolves as well when there is none. Rejects with `canceled` when the signal aborts first. */
export type RemoveTopic = (name: string, signal: AbortSignal) => Promise<void>;

export interface Subscription {
  /** Created where they are missing. */
  readonly topics: readonly Topic[];
  /** Created as well, before the first record is delivered: topics that whoever subscribes writes to. */
  readonly alsoCreate?: readonly Topic[];
  /** Consumers of one group share the partitions; what it has committed it does not get again. A new group starts at the oldest record. */
  readonly groupId: string;
  /**
   * Fences members of one group, of which all but one are left from an earlier life: the one with the highest epoch gets every partition, the
   * others nothing. Read at each join. Without it partitions are shared.
   */
  readonly epoch?: () => number;
  /** What `deliver` gets at most, and so what comes again at most when it throws. Default: 500. */
  readonly maxBatchRecords?: number;
  /**
   * Gets records of one partition, in order. They are committed after it returned; if it throws or rejects, the same records come again after
   * a pause.
   */
  readonly deliver: (records: readonly ConsumerRecord[]) => void | Promise<void>;
  /** Called each time the consumer begins or ceases to receive. */
  readonly onReady: (ready: boolean) => void;
  /** Called before the first record after a gap is delivered, or as soon as the gap is seen. */
  readonly onGap?: (gap: Gap) => void;
  /** Called after each batch with the number of records that its partition still had to come when the batch was fetched. */
  readonly onLag?: (records: number) => void;
  /** Ends the subscription: the last batch is finished and committed, then `run` resolves. */
  readonly signal: AbortSignal;
}

export interface Consumer {
  /**
   * Creates missing topics, then delivers until the signal aborts. It rides out an absent broker, and once it was ready a right that is taken
   * away; it rejects only on what can never work, and with `aborted`, reason PARTITION_TAKEN, when the subscription has an epoch and a member with a higher one has the partitions.
   */
  run(subscription: Subscription): Promise<void>;
}

/** A value of `/services/{name}/{id}`. */
export interface ServiceInstance {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Registration {
  /** Fences one life of an id against the next: rises with every claim, also when a key that had gone was claimed anew. */
  readonly epoch: number;
  /** Resolves when the key is another's: it was not given back by `release`. */
  readonly lost: Promise<void>;
  /**
   * Puts other metadata, all of it, into the key. Rejects with `unavailable` while the registry is away; what was given is in the key once that
   * is back.
   */
  update(metadata: ServiceInstance["metadata"]): Promise<void>;
  /** Deletes the key, if it is still ours. */
  release(): Promise<void>;
}

export interface Registry {
  /**
   * Claims the instance's key and keeps it until released. Waits for an absent registry until the signal aborts.
   * Rejects with `already_exists` when a living process holds the key.
   * @param onReclaimed the key had gone and is ours again, under a new `epoch`: others may have counted this instance among the dead meanwhile
   */
  register(instance: ServiceInstance, signal: AbortSignal, onReclaimed?: () => void): Promise<Registration>;
  /**
   * Calls `onChange` with all instances of a service, now and whenever they change. While the registry is away the last known ones stay.
   * Resolves when the signal aborts.
   * @param onChange `revisions`: by id, the revision of its key's last change: that of the claim, which is its epoch, until its metadata change
   * @param onWorking told false when changes can not be seen any more, and true when what was reported is current (again)
   */
  watch(
    name: string,
    onChange: (instances: readonly ServiceInstance[], revisions: ReadonlyMap<string, number>) => void,
    signal: AbortSignal,
    onWorking?: (working: boolean) => void,
  ): Promise<void>;
  close(): Promise<void>;
}

/** Told how long things took. Each call is cheap and never throws. */
export interface Observer {
  /** Kafka has stored an upstream record. */
  published(seconds: number): void;
  /** A call to im-logic ended. @param method `package.Service/Method` @param code `ok` or the error's code in lower case */
  called(method: string, code: string, seconds: number): void;
  /** An HTTP request was answered. @param route the path template, or "none" */
  answered(method: string, route: string, status: number, seconds: number): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes one line. `fields` holds ids and counts, never tokens, passwords or message content. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;
