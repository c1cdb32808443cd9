// Which gateways live: those with a key in the registry. One that has none any more loses its routes, and much later its topic.
import { setTimeout as delay } from "node:timers/promises";
import { type Log, type Registry, type ServiceInstance, traceOf } from "@im-gateway/core";
import type { Downstream } from "./downstream.ts";
import { assertion } from "./fanout.ts";
import type { Revocations } from "./revocations.ts";
import type { Routes } from "./routes.ts";
import { integer, optionalInteger, optionalText, text } from "./row.ts";
import type { Store } from "./store.ts";

export interface GatewayKeysOptions {
  readonly store: Store;
  readonly routes: Routes;
  readonly registry: Pick<Registry, "watch">;
  readonly downstream: Downstream;
  readonly revocations: Pick<Revocations, "tellAgain">;
  /** Resolves as well when there is none. undefined: topics stay. */
  readonly removeTopic: ((name: string, signal: AbortSignal) => Promise<void>) | undefined;
  /** A gateway's topic is this and its id. */
  readonly topicPrefix: string;
  readonly log: Log;
  readonly now: () => number;
}

export interface GatewayKeys {
  /** Watches until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

interface Absent {
  readonly gatewayId: string;
  /** Seen by this process, on a watch that has worked ever since. */
  readonly sinceMs: number;
  /** In the database: of a gateway that was counted as dead. */
  readonly notedMs: number | undefined;
}

const sweepMs = 500;
/** So long a key has to be absent, on a watch that works, for the gateway to count as dead (CONTRACT §6). */
const deadAfterMs = 10_000;
/** Then its topic is deleted (CONTRACT §5). */
const removeTopicAfterMs = 24 * 60 * 60 * 1000;
/** After a topic that could not be deleted. */
const removeAgainMs = 60_000;

export function createGatewayKeys(options: GatewayKeysOptions): GatewayKeys {
  const { store, routes, registry, downstream, revocations, removeTopic, topicPrefix, log, now } = options;
  const all = store.prepare("SELECT gateway_id, absent_since_ms FROM gateways");
  // An epoch below that of any event.
  const add = store.prepare(
    "INSERT INTO gateways (gateway_id, epoch) VALUES (?, -1) ON CONFLICT (gateway_id) DO NOTHING",
  );
  const noteAbsence = store.prepare("UPDATE gateways SET absent_since_ms = ? WHERE gateway_id = ?");
  const one = store.prepare("SELECT * FROM gateways WHERE gateway_id = ?");
  const forgetAbsence = store.prepare("UPDATE gateways SET absent_since_ms = NULL WHERE gateway_id = ?");
  // No event of this process has an epoch below that revision; NULL where nothing can be told.
  const noteBeginning = store.prepare("UPDATE gateways SET instance = ?, begun_revision = ? WHERE gateway_id = ?");
  const raiseEpoch = store.prepare("UPDATE gateways SET epoch = begun_revision WHERE gateway_id = ?");
  const removeGateway = store.prepare("DELETE FROM gateways WHERE gateway_id = ?");
  const removeEnded = store.prepare("DELETE FROM ended_connections WHERE gateway_id = ?");

  /** undefined before the first list. */
  let present: ReadonlySet<string> | undefined;
  let working = false;
  /** On a watch that has worked ever since. */
  const absentSinceMs = new Map<string, number>();
  /** Of those that are present: since when the process is known that has their key now. */
  const begunSinceMs = new Map<string, number>();
  let removeTopicsAtMs = 0;

  function changed(instances: readonly ServiceInstance[], revisions: ReadonlyMap<string, number>): void {
    const first = present === undefined;
    present = new Set(instances.map(({ id }) => id));
    for (const gone of [...begunSinceMs.keys()].filter((id) => !present?.has(id))) {
      begunSinceMs.delete(gone);
    }
    for (const { id, metadata } of instances) {
      const { instance = "", state } = metadata;
      const unknown = add.run(id).changes > 0;
      const row = one.get(id);
      const begins = (row && optionalText(row, "instance")) !== instance;
      const wasAway = (row && optionalInteger(row, "absent_since_ms")) !== undefined;
      forgetAbsence.run(id);
      if (begins) {
        // One that drains has changed its key since: nothing can be told from its revision.
        noteBeginning.run(instance, state === "draining" ? null : (revisions.get(id) ?? null), id);
      }
      if (begins || !begunSinceMs.has(id)) {
        begunSinceMs.set(id, now());
      }
      // Also when it came back within the time after which that is noted: its new epoch may have been seen first.
      if (absentSinceMs.delete(id) || wasAway || begins) {
        // It was not told, or forgot them with its process.
        revocations.tellAgain(id);
      }
      // Whoever was here while im-logic was not, or is new to its database, may hold connections that it knows nothing of.
      if (first || unknown) {
        const { traceId, traceparent } = traceOf(null);
        downstream.push([assertion(id, { traceId, headers: {}, kafkaHeaders: { traceparent } })]);
      }
    }
    absent();
  }

  /** The gateways without a key; from now on, where they had one until now. */
  function absent(): Absent[] {
    const nowMs = now();
    return all
      .all()
      .map((row) => ({ gatewayId: text(row, "gateway_id"), notedMs: optionalInteger(row, "absent_since_ms") }))
      .filter(({ gatewayId }) => present?.has(gatewayId) === false)
      .map((gateway) => {
        const sinceMs = absentSinceMs.get(gateway.gatewayId) ?? nowMs;
        absentSinceMs.set(gateway.gatewayId, sinceMs);
        return { ...gateway, sinceMs };
      });
  }

  function sweep(): void {
    const nowMs = now();
    for (const { gatewayId, sinceMs, notedMs } of working ? absent() : []) {
      if (nowMs - sinceMs < deadAfterMs) {
        continue;
      }
      // What it says from now on has its own ten seconds.
      absentSinceMs.set(gatewayId, nowMs);
      if (notedMs === undefined) {
        noteAbsence.run(sinceMs, gatewayId);
      }
      const connections = routes.endGateway(gatewayId, sinceMs);
      if (connections > 0) {
        log("info", "a gateway's key is gone, and with it its connections", { of_gateway: gatewayId, connections });
      }
    }
  }

  /** A process that has the key of one that is dead, and tells of no connection, does not end what the dead one left. */
  function endEarlierLives(): void {
    for (const [gatewayId, sinceMs] of begunSinceMs) {
      const row = now() - sinceMs < deadAfterMs ? undefined : one.get(gatewayId);
      const revision = row && optionalInteger(row, "begun_revision");
      if (row === undefined || revision === undefined || integer(row, "epoch") >= revision) {
        continue;
      }
      const connections = routes.endGateway(gatewayId, sinceMs);
      // What is still to come of the dead one is of no account.
      raiseEpoch.run(gatewayId);
      if (connections > 0) {
        const fields = { of_gateway: gatewayId, connections };
        log("info", "a gateway has begun anew, its earlier connections are gone", fields);
      }
    }
  }

  async function removeTopics(signal: AbortSignal): Promise<void> {
    const nowMs = now();
    if (removeTopic === undefined || !working || nowMs < removeTopicsAtMs) {
      return;
    }
    for (const { gatewayId, notedMs = nowMs } of absent()) {
      // Its key may have come back while another one's topic was deleted.
      if (nowMs - notedMs < removeTopicAfterMs || present?.has(gatewayId) === true) {
        continue;
      }
      const topic = topicPrefix + gatewayId;
      try {
        await removeTopic(topic, signal);
      } catch (error) {
        removeTopicsAtMs = nowMs + removeAgainMs;
        log("warn", "a topic could not be deleted, trying again", { topic, error });
        return;
      }
      store.transaction(() => {
        removeGateway.run(gatewayId);
        removeEnded.run(gatewayId);
      });
      absentSinceMs.delete(gatewayId);
      log("info", "the topic of a gateway that is gone was deleted", { topic, of_gateway: gatewayId });
    }
  }

  function watch(signal: AbortSignal): Promise<void> {
    const guarded = (instances: readonly ServiceInstance[], revisions: ReadonlyMap<string, number>): void => {
      try {
        store.transaction(() => changed(instances, revisions));
      } catch (error) {
        log("error", "the gateways' keys could not be taken in", { error });
      }
    };
    return registry.watch("im-gateway", guarded, signal, (works) => {
      working = works;
      // The time in which it saw nothing counts for nobody.
      absentSinceMs.clear();
      absent();
    });
  }

  async function run(signal: AbortSignal): Promise<void> {
    const watching = watch(signal).catch((error: unknown) =>
      log("error", "the gateways can not be watched", { error }),
    );
    while (!signal.aborted) {
      try {
        store.transaction(sweep);
        store.transaction(endEarlierLives);
        await removeTopics(signal);
      } catch (error) {
        log("error", "the gateways' routes could not be swept", { error });
      }
      // Rejects when the signal aborts, and then the loop ends.
      await delay(sweepMs, undefined, { signal }).catch(() => undefined);
    }
    await watching;
  }

  return { run };
}
