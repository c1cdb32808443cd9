// Topic `upstream`: a client's message → stored message → records for the gateways of all members.
import { Code, ConnectError } from "@connectrpc/connect";
import { type ConsumerRecord, decodeRecord, failure, type Log } from "@im-gateway/core";
import { type Message, type UpstreamRecord, UpstreamRecordSchema } from "@im-gateway/proto";
import type { Blocks } from "./blocks.ts";
import type { Counts } from "./counts.ts";
import type { Downstream, Outgoing } from "./downstream.ts";
import { messageStored, newMessage, type Origin, refusal } from "./fanout.ts";
import { checkClientId, checkPresent, requireValid, violation } from "./fields.ts";
import type { Members } from "./members.ts";
import { isRecalled, type Messages } from "./messages.ts";
import type { Poison } from "./poison.ts";
import type { Recent } from "./recent.ts";
import type { Routes } from "./routes.ts";
import type { Store } from "./store.ts";

export interface UpstreamOptions {
  readonly store: Store;
  readonly members: Members;
  readonly blocks: Blocks;
  readonly messages: Messages;
  readonly routes: Routes;
  readonly recent: Recent;
  readonly downstream: Downstream;
  readonly poison: Poison;
  readonly log: Log;
  readonly counts: Counts;
  readonly now: () => number;
}

/** Even with every character escaped, a record of it stays below the 1 MB that Kafka takes by default. */
export const maxContentBytes: number = 64 * 1024;

type Outcome =
  | { readonly kind: "stored" | "repeated"; readonly message: Message; readonly origin: Origin }
  | {
      readonly kind: "refused";
      readonly error: ConnectError;
      readonly userId: string;
      readonly conversationId: string;
      readonly origin: Origin;
    };

/**
 * Takes the records of one partition, in order. All of them are stored in one transaction, then sent; it resolves when what they became is
 * safe, and what comes again has the same ids and is sent again. Rejects only when the database fails.
 */
export function createUpstream(options: UpstreamOptions): (records: readonly ConsumerRecord[]) => Promise<void> {
  const { store, members, blocks, messages, routes, recent, downstream, poison, log, counts, now } = options;

  /** @throws ConnectError why this message is refused */
  function accept(record: UpstreamRecord): { kind: "stored" | "repeated"; message: Message } {
    const { userId, conversationId, clientMsgId, messageType, content } = record;
    checkMessage(record);
    // Before membership: what was stored stays stored, also when its sender has left since.
    const sent = messages.findSent(userId, clientMsgId);
    if (sent !== undefined) {
      // Of a recalled one it is no longer known what it said.
      if (isRecalled(sent) && sent.conversationId === conversationId) {
        return { kind: "repeated", message: sent };
      }
      if (sent.conversationId !== conversationId || sent.messageType !== messageType || sent.content !== content) {
        throw failure(Code.AlreadyExists, "CLIENT_MSG_ID_REUSED", "this client_msg_id was used for another message");
      }
      return { kind: "repeated", message: sent };
    }
    members.requireRole(conversationId, userId);
    blocks.requireMaySend(conversationId, userId);
    return { kind: "stored", message: messages.append({ ...record, senderId: userId }) };
  }

  function take(record: ConsumerRecord): Outcome | undefined {
    const upstream = poison.read(record, readUpstream);
    if (upstream === undefined) {
      return undefined;
    }
    const { userId, conversationId, traceId, headers, gatewayId, connectionId, clientMsgId } = upstream;
    const origin = { traceId, headers, kafkaHeaders: record.headers, gatewayId, connectionId, clientMsgId };
    try {
      return { ...accept(upstream), origin };
    } catch (error) {
      if (error instanceof ConnectError) {
        return { kind: "refused", error, userId, conversationId, origin };
      }
      throw error;
    }
  }

  function fanOut(outcome: Outcome): Outgoing[] {
    const { kind, origin } = outcome;
    if (kind === "refused") {
      counts.refusedMessages += 1;
      const { conversationId, error } = outcome;
      log("info", "a message was refused", {
        // What a record does not say is no field of the line.
        trace_id: origin.traceId || undefined,
        user_id: outcome.userId || undefined,
        connection_id: origin.connectionId || undefined,
        conversation_id: conversationId || undefined,
        error,
      });
      return refusal(error, conversationId, origin);
    }
    const { message } = outcome;
    if (kind === "stored") {
      counts.storedMessages += 1;
      const { conversationId, seqId } = message;
      const { connectionId, traceId } = origin;
      recent.add({ conversationId, seqId, connectionId, traceId, newestRoute: routes.newest(), storedAtMs: now() });
    } else {
      counts.repeatedMessages += 1;
    }
    const audience = routes.ofMembers(message.conversationId);
    return [...messageStored(message, origin), ...newMessage(message, audience, origin)];
  }

  return async (records) => {
    const outcomes = store.transaction(() => records.map(take));
    await downstream.publish(outcomes.flatMap((outcome) => (outcome === undefined ? [] : fanOut(outcome))));
    await poison.buried();
  };
}

/** Without a user there is nobody whose message it could be, nor anybody to tell. */
function readUpstream(value: Uint8Array | null): UpstreamRecord {
  const record = decodeRecord(UpstreamRecordSchema, value);
  requireValid(checkPresent("user_id", record.userId));
  return record;
}

function checkMessage({ conversationId, clientMsgId, messageType, content }: UpstreamRecord): void {
  requireValid(
    checkPresent("conversation_id", conversationId),
    messageType < 1 ? violation("message_type", "is required") : undefined,
    checkPresent("content", content),
    checkClientId("client_msg_id", clientMsgId, 1),
  );
  if (Buffer.byteLength(content) > maxContentBytes) {
    const message = `the content has more than ${maxContentBytes} bytes`;
    throw failure(Code.InvalidArgument, "MESSAGE_TOO_LARGE", message);
  }
}
