// What a connection that came back has missed: its route is recorded first, then history and heads are read. What is stored after that is
// routed to it, what was stored before is in the answer.
import { Code } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import type { Message } from "@im-gateway/proto";
import { type Messages, maxPageBytes } from "./messages.ts";
import type { Recent } from "./recent.ts";
import type { RouteEvent, Routes } from "./routes.ts";
import { integer, text } from "./row.ts";
import type { Store } from "./store.ts";
import type { Cursors } from "./sync.ts";

export interface ResumeRequest {
  /** As its `connected` event has it. */
  readonly event: RouteEvent;
  readonly cursors: Cursors;
  /** Up to here the gateway has kept all that came after the cursor, as it was then. */
  readonly keptThrough: Cursors;
  /** Messages of one conversation, kept ones included. */
  readonly perConversation: number;
  /** Messages in all, kept ones included. */
  readonly inAll: number;
}

export interface Resumption {
  /**
   * Of each conversation ascending by seq_id: of what was kept those that were recalled, then, without gaps after it, the rest. The most recently
   * changed conversations first.
   */
  readonly messages: Message[];
  /** The last seq_id of each of the user's conversations. */
  readonly heads: Record<string, bigint>;
  /** Of which `messages` lacks some. */
  readonly incomplete: string[];
}

export interface Resume {
  /**
   * Rejects with failed_precondition ROUTE_REFUSED where the connection has ended, or the gateway's epoch is over: nothing is recorded.
   */
  resume(request: ResumeRequest): Promise<Resumption>;
}

interface Waiting {
  readonly request: ResumeRequest;
  readonly resolve: (resumption: Resumption) => void;
  readonly reject: (error: unknown) => void;
}

/** So many share one write to the disk; more would keep everything else waiting. */
const maxBatch = 16;

export function createResume(store: Store, routes: Routes, recent: Recent, messages: Messages): Resume {
  const ends = store.prepare(
    `SELECT conversation_id, last_seq FROM members JOIN conversations USING (conversation_id)
     WHERE user_id = ? ORDER BY activity DESC`,
  );
  const waiting: Waiting[] = [];

  /** @returns undefined where the route is refused */
  function resumeOne(request: ResumeRequest): Resumption | undefined {
    const { event, cursors, keptThrough, perConversation, inAll } = request;
    // It may be known by a later event already.
    const routeNo = routes.connect(event) ?? routes.numberOf(event.gatewayId, event.connectionId);
    if (routeNo === undefined) {
      return undefined;
    }
    recent.answered(routeNo);
    const heads: Record<string, bigint> = {};
    const missed: Message[] = [];
    const incomplete: string[] = [];
    const keptOf = (conversationId: string): number =>
      Math.max(0, Number((keptThrough[conversationId] ?? 0n) - (cursors[conversationId] ?? 0n)));
    let roomInAll = inAll - Object.keys(keptThrough).reduce((sum, id) => sum + keptOf(id), 0);
    let roomBytes = maxPageBytes;
    for (const row of ends.all(event.userId)) {
      const conversationId = text(row, "conversation_id");
      const head = BigInt(integer(row, "last_seq"));
      const cursor = cursors[conversationId] ?? 0n;
      const kept = keptOf(conversationId);
      const after = cursor + BigInt(kept);
      heads[conversationId] = head;
      if (kept > 0) {
        missed.push(...messages.recalled(conversationId, cursor, after));
      }
      if (head <= after) {
        continue;
      }
      const room = roomBytes > 0 ? Math.min(perConversation - kept, roomInAll) : 0;
      const page =
        room > 0 ? messages.list(conversationId, { after }, room, roomBytes) : { messages: [], hasMore: true };
      roomInAll -= page.messages.length;
      for (const message of page.messages) {
        missed.push(message);
        roomBytes -= Buffer.byteLength(message.content);
      }
      if (page.hasMore) {
        incomplete.push(conversationId);
      }
    }
    return { messages: missed, heads, incomplete };
  }

  function settle({ resolve, reject }: Waiting, resumption: Resumption | undefined): void {
    if (resumption === undefined) {
      const message = "the connection has ended, or its gateway's epoch is over";
      reject(failure(Code.FailedPrecondition, "ROUTE_REFUSED", message));
    } else {
      resolve(resumption);
    }
  }

  function run(): void {
    const batch = waiting.splice(0, maxBatch);
    if (waiting.length > 0) {
      setImmediate(run);
    }
    try {
      const resumptions = store.transaction(() => batch.map(({ request }) => resumeOne(request)));
      for (const [index, one] of batch.entries()) {
        settle(one, resumptions[index]);
      }
    } catch {
      // One of them can not be answered: each for itself, so that only that one gets the error.
      for (const one of batch) {
        try {
          settle(
            one,
            store.transaction(() => resumeOne(one.request)),
          );
        } catch (error) {
          one.reject(error);
        }
      }
    }
  }

  return {
    resume: (request) =>
      new Promise((resolve, reject) => {
        if (waiting.push({ request, resolve, reject }) === 1) {
          setImmediate(run);
        }
      }),
  };
}
