// What a back end asks of this gateway itself: control records of the downstream topic (CONTRACT §5), and PushService's Kick.
import type { JsonObject } from "@bufbuild/protobuf";
import { type DownstreamRecord, KickedSchema } from "@im-gateway/proto";
import type { Log } from "./adapters.ts";
import type { Connection } from "./connection.ts";
import { CloseCode, invalidFields } from "./errors.ts";
import type { Hub } from "./hub.ts";
import { fits, type Revocations, type Target } from "./identity/revocations.ts";
import { readMessage } from "./json/read.ts";
import type { Connections } from "./session/connections.ts";

export interface ControlOptions {
  readonly hub: Hub;
  readonly connections: Connections;
  readonly revocations: Revocations;
  readonly log: Log;
  readonly now: () => number;
}

export interface Control {
  /**
   * Acts on a control record, at once.
   * @throws ConnectError invalid_argument: it names nobody, or its data is no `kicked`
   */
  obey(record: DownstreamRecord): void;
  /** Sends `kicked` and closes 4503. @returns how many were closed */
  kick(target: Target, kicked: { readonly reason: string; readonly byDevice?: string }): number;
}

export function createControl({ hub, connections, revocations, log, now }: ControlOptions): Control {
  const find = (target: Target, exceptIds: readonly string[] = []): readonly Connection[] => {
    const { userId } = target;
    const candidates =
      userId === ""
        ? hub.all()
        : hub.find({ userIds: [userId], connectionIds: [], excludedConnectionIds: [], broadcast: false });
    // A list of its own: who is closed leaves the hub.
    return [...candidates].filter(
      ({ id, identity }) => identity !== undefined && fits(target, identity) && !exceptIds.includes(id),
    );
  };

  const kickAll = (found: readonly Connection[], kicked: Parameters<Control["kick"]>[1]): number => {
    for (const connection of found) {
      connections.answer(connection, { case: "kicked", value: kicked }, "");
      connections.close(connection, CloseCode.KICKED, "kicked");
    }
    return found.length;
  };

  const revoke = (record: DownstreamRecord): number => {
    const target = targetOf(record);
    const atMs = record.timestamp === 0n ? now() : Number(record.timestamp) * 1000;
    revocations.add(target, atMs);
    const found = find(target).filter(({ identity }) => identity !== undefined && revocations.has(identity));
    for (const connection of found) {
      connections.close(connection, CloseCode.TOKEN_INVALID, "token revoked");
    }
    return found.length;
  };

  const kick = (record: DownstreamRecord): number => {
    const { reason, byDevice } = readMessage(KickedSchema, kickedData(record), "ignore");
    const found = find(targetOf(record), record.excludeConnectionIds);
    return kickAll(found, { reason, ...(byDevice === undefined ? {} : { byDevice }) });
  };

  const assert = (): number => {
    connections.assert();
    return 0;
  };
  const acts: Readonly<Record<string, (record: DownstreamRecord) => number>> = { kick, revoke, assert };

  return {
    obey(record) {
      const { type, userId, deviceId, traceId } = record;
      const closed = acts[type]?.(record);
      // What a record does not say is no field of the line.
      const named = { user_id: userId || undefined, device_id: deviceId || undefined, trace_id: traceId || undefined };
      log("info", `control record: ${type}`, { ...named, closed });
    },
    kick: (target, kicked) => kickAll(find(target), kicked),
  };
}

export function isControl({ type }: DownstreamRecord): boolean {
  return type === "kick" || type === "revoke" || type === "assert";
}

/** @throws ConnectError invalid_argument when nothing is named */
function targetOf({ type, userId, deviceId, sid, jti }: DownstreamRecord): Target {
  if (userId === "" && deviceId === "" && sid === "" && jti === "") {
    throw invalidFields({ field: "user_id", description: `${type} needs a user_id, device_id, sid or jti` });
  }
  return { userId, deviceId, sessionId: sid, tokenId: jti };
}

/** The reason may stand in the record's plain field. */
function kickedData({ data = {}, content }: DownstreamRecord): JsonObject {
  return Object.hasOwn(data, "reason") ? data : { ...data, reason: content };
}
