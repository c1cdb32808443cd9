// `resume`: what a client has missed, asked of im-logic, then exactly one closing frame. Live frames wait meanwhile (held.ts).
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { type Message, type ResumeResponse, RouteService } from "@im-gateway/proto";
import type { EncodedFrame, Log } from "../adapters.ts";
import type { Connection } from "../connection.ts";
import { type Counters, count } from "../counters.ts";
import { toConnectError } from "../error-json.ts";
import { CloseCode, failure, invalidFields } from "../errors.ts";
import { encodeServerFrame, errorFrame } from "../frame/codec.ts";
import type { Identity } from "../identity/token.ts";
import { newTrace, type Trace } from "../trace.ts";
import type { Connections } from "./connections.ts";
import type { Through } from "./gate.ts";
import { type HeadStart, headStart, renewed } from "./head-start.ts";
import { type Cursors, maxMessages, maxPerConversation, readResumeAnswer } from "./resume-answer.ts";
import { createResumeQueue } from "./resume-queue.ts";
import { countKept, type Kept } from "./ring.ts";

export interface ResumeOptions {
  readonly gatewayId: string;
  readonly epoch: () => number;
  readonly connections: Pick<Connections, "answer" | "close" | "sendNow" | "turn" | "held">;
  /** To im-logic. */
  readonly transport: Transport;
  readonly limits: { readonly sendBufferBytes: number };
  readonly counters: Counters;
  /** Aborts when the gateway has left: calls end with it. */
  readonly stopped: () => AbortSignal;
  readonly log: Log;
  readonly now: () => number;
}

export interface Resume {
  /** Returns at once. */
  begin(connection: Connection, identity: Identity, messageId: string, cursors: Cursors): void;
}

/** Why a client has to read its conversations anew. */
type ResyncReason =
  /** More than the bounds, or what the answer did not prove. */
  | "MISSED_TOO_MUCH"
  /** More came meanwhile than may be held. */
  | "HELD_TOO_MUCH"
  /** The back end has no history to ask for. */
  | "NO_HISTORY"
  /** Too many resume at once. */
  | "OVERLOADED"
  /** im-logic does not route to this connection: it is closed 1012 after the frame. */
  | "ROUTE_REFUSED"
  | "LOGIC_UNAVAILABLE";

interface Found {
  /** What was kept here, to be given first. */
  readonly kept: readonly Kept[];
  /** What im-logic has besides. */
  readonly frames: readonly EncodedFrame[];
  readonly through: Through;
  readonly changed: Through;
  readonly incomplete: readonly string[];
}

const callTimeoutMs = 5000;
/** How long a reader may take for what has been written before the next part is. */
const slowReaderMs = 10_000;
const pollMs = 20;

export function createResume(options: ResumeOptions): Resume {
  const { gatewayId, epoch, connections, limits, counters, log, now } = options;
  const logic = createClient(RouteService, options.transport);
  const queue = createResumeQueue({ now });
  const isClosed = ({ state }: Connection): boolean => state.t === "closed";

  const ask = (
    connection: Connection,
    identity: Identity,
    cursors: Cursors,
    { through }: HeadStart,
    trace: Trace,
  ): Promise<ResumeResponse> =>
    queue.run(
      () =>
        logic.resume(
          {
            userId: identity.userId,
            deviceId: identity.deviceId,
            gatewayId,
            gatewayEpoch: BigInt(epoch()),
            connectionId: connection.id,
            seq: BigInt(connection.eventSeq),
            cursors,
            keptThrough: through,
            maxPerConversation,
            maxMessages,
          },
          { signal: options.stopped(), timeoutMs: callTimeoutMs, headers: { traceparent: trace.traceparent } },
        ),
      () => !isClosed(connection),
    );

  const find = async (
    connection: Connection,
    identity: Identity,
    cursors: Cursors,
    start: HeadStart,
  ): Promise<Found | ResyncReason> => {
    const trace = newTrace();
    try {
      const answer = await ask(connection, identity, cursors, start, trace);
      const { messages, ofGiven, ...rest } = readResumeAnswer(answer, { ...cursors, ...start.through }, start.counts);
      const encode = (message: Message): EncodedFrame => newMessage(message, now());
      return { ...rest, kept: renewed(start.kept, ofGiven, encode), frames: messages.map(encode) };
    } catch (thrown) {
      const error = toConnectError(thrown);
      log("debug", "resume not answered by im-logic", {
        connection_id: connection.id,
        user_id: identity.userId,
        trace_id: trace.traceId,
        error,
      });
      return reasonFor(error.code);
    }
  };

  /** In parts, so that neither the turn nor the socket gets too much at once. @returns false when the reader is gone or too slow */
  const give = async (connection: Connection, { kept, frames }: Found): Promise<boolean> => {
    for (const [index, frame] of [...kept.map((one) => one.frame), ...frames].entries()) {
      if (!connections.sendNow(connection, frame)) {
        return false;
      }
      const held = kept[index];
      if (held === undefined) {
        count(counters.framesOut, "new-message");
      } else {
        countKept(counters, held);
      }
      if (connections.turn.full) {
        await connections.turn.ended();
        const dueMs = now() + slowReaderMs;
        while (connection.bufferedBytes > limits.sendBufferBytes / 2 && !isClosed(connection)) {
          if (now() >= dueMs) {
            connections.close(connection, CloseCode.SLOW_CONSUMER, "slow consumer");
            return false;
          }
          await new Promise((resolve) => setTimeout(resolve, pollMs));
        }
      }
    }
    return true;
  };

  const end = (connection: Connection, messageId: string, cursors: Cursors, found: Found | ResyncReason): void => {
    const failed = typeof found === "string";
    const through = failed ? new Map(Object.entries(cursors)) : found.through;
    connections.held.settle(connection, {
      messageId,
      through,
      changed: failed ? new Map() : found.changed,
      keptFirst: failed,
      closing: (overflowed) => {
        const lack = lackOf(found, overflowed);
        const result = lack?.reason ?? "complete";
        count(counters.resumes, result);
        log("debug", "resume answered", { connection_id: connection.id, user_id: connection.identity?.userId, result });
        return lack === undefined
          ? { case: "resumed", value: { complete: true, count: failed ? 0 : found.kept.length + found.frames.length } }
          : { case: "resyncRequired", value: lack };
      },
    });
  };

  return {
    begin(connection, identity, messageId, cursors) {
      const negative = Object.entries(cursors).find(([, seqId]) => seqId < 0n);
      if (negative !== undefined) {
        const error = invalidFields({ field: `cursors[${JSON.stringify(negative[0])}]`, description: "is negative" });
        connections.answer(connection, errorFrame(error, newTrace().traceId), messageId);
        return;
      }
      const kept = connections.held.hold(connection);
      if (kept === undefined) {
        const error = failure(
          Code.Aborted,
          "RESUME_IN_PROGRESS",
          "another resume of this connection is being answered",
        );
        connections.answer(connection, errorFrame(error, newTrace().traceId), messageId);
        return;
      }
      const run = async (): Promise<void> => {
        const found = await find(connection, identity, cursors, headStart(kept, cursors));
        const given = typeof found === "string" || (await give(connection, found));
        if (given && !isClosed(connection)) {
          end(connection, messageId, cursors, found);
        }
        if (found === "ROUTE_REFUSED") {
          // Nothing would ever come for it: the client's next connection is another one, here or elsewhere.
          connections.close(connection, CloseCode.SERVICE_RESTART, "not routed to");
        }
      };
      run().catch((error: unknown) => {
        log("error", "a resume failed", { connection_id: connection.id, error });
        end(connection, messageId, cursors, "LOGIC_UNAVAILABLE");
      });
    },
  };
}

/** What the client has to read anew; no conversation ids: all. */
interface Resync {
  readonly reason: ResyncReason;
  readonly conversationIds: string[];
}

/** @returns undefined when the heads prove that nothing is missing */
function lackOf(found: Found | ResyncReason, overflowed: boolean): Resync | undefined {
  if (typeof found === "string") {
    return { reason: found, conversationIds: [] };
  }
  if (overflowed) {
    return { reason: "HELD_TOO_MUCH", conversationIds: [] };
  }
  return found.incomplete.length === 0
    ? undefined
    : { reason: "MISSED_TOO_MUCH", conversationIds: [...found.incomplete] };
}

function reasonFor(code: Code): ResyncReason {
  switch (code) {
    case Code.Unimplemented:
      return "NO_HISTORY";
    case Code.ResourceExhausted:
      return "OVERLOADED";
    case Code.FailedPrecondition:
      return "ROUTE_REFUSED";
    default:
      return "LOGIC_UNAVAILABLE";
  }
}

function newMessage(message: Message, nowMs: number): EncodedFrame {
  const { messageId, conversationId, senderId, messageType, content, seqId, timestamp, clientMsgId } = message;
  const value = { messageId, conversationId, senderId, messageType, content, seqId, clientMsgId };
  return encodeServerFrame({ case: "newMessage", value: { ...value, timestamp: timestamp * 1000n } }, "", nowMs);
}
