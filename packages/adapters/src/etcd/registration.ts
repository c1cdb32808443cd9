// An instance's claim on its key, from the first try to the release.
import { Code, ConnectError } from "@connectrpc/connect";
import { failure, type Log, type Registration, type ServiceInstance } from "@im-gateway/core";
import type { Etcd3, IKeyValue } from "etcd3";
import { refusal } from "./client.ts";
import { type Fetch, holderLives } from "./holder.ts";
import { decodeInstance, encodeInstance, keyOf } from "./instance.ts";
import { createLeasedKey, type LeasedKey } from "./leased-key.ts";
import { createOutage, pause } from "./outage.ts";

export interface RegistrationOptions {
  readonly client: Etcd3;
  /** As configured: for people who have to find out why it does not answer. */
  readonly endpoints: readonly string[];
  readonly leaseTtlMs: number;
  readonly callTimeoutMs: number;
  readonly fetch: Fetch;
  readonly log: Log;
}

/**
 * Claims the key, waiting for etcd until `signal` aborts, and keeps it until it is released or another's. A key that has
 * gone, with its lease or by somebody's hand, is claimed anew. An `im-gateway` takes its id over only from a holder that
 * does not answer, any other service at once.
 * Rejects with `already_exists` (GATEWAY_ID_TAKEN), with `canceled`, or with what etcd refuses for good.
 */
export async function register(
  instance: ServiceInstance,
  options: RegistrationOptions,
  signal: AbortSignal,
  onReclaimed: () => void = () => {},
): Promise<Registration> {
  const { log } = options;
  const key = keyOf(instance);
  const leased = createLeasedKey({ ...options, key, value: encodeInstance(instance) });
  let epoch = await claim(instance, leased, options, signal);
  log("info", "registered", { key, epoch });

  const releasing = new AbortController();
  let lose = (): void => {};
  const lost = new Promise<void>((resolve) => {
    lose = resolve;
  });
  const reclaimed = (revision: number): void => {
    epoch = revision;
    log("info", "registered anew", { key, epoch });
    onReclaimed();
  };
  const kept = keep(key, leased, options, reclaimed, releasing.signal).then(async (outcome) => {
    if (outcome === "lost") {
      log("error", "the key is another's", { key });
      lose();
    }
    await revoke(key, leased, log);
  });
  return {
    get epoch() {
      return epoch;
    },
    lost,
    async update(metadata) {
      try {
        await leased.write(encodeInstance({ ...instance, metadata }));
      } catch (cause) {
        throw (
          refusal(cause) ?? failure(Code.Unavailable, "REGISTRY_UNAVAILABLE", "etcd has not taken the value", { cause })
        );
      }
    },
    release() {
      releasing.abort();
      return kept;
    },
  };
}

/** The revision that claimed the key. */
async function claim(
  instance: ServiceInstance,
  leased: LeasedKey,
  { endpoints, fetch, log }: RegistrationOptions,
  signal: AbortSignal,
): Promise<number> {
  const key = keyOf(instance);
  const outage = createOutage(`claim of ${key}`, log);

  async function mayReplace({ value }: IKeyValue): Promise<boolean> {
    if (instance.name !== "im-gateway") return true;
    const holder = decodeInstance(key, value);
    if (holder !== undefined && (await holderLives(holder, fetch, log))) return false;
    log("warn", "taking the gateway id over from a holder that does not answer", { key });
    return true;
  }

  let unanswered: unknown;
  while (!signal.aborted) {
    try {
      const outcome = await leased.put(mayReplace);
      outage.passed();
      unanswered = undefined;
      if (outcome.kind === "held" && !signal.aborted) return outcome.revision;
      await revoke(key, leased, log);
      if (outcome.kind === "taken") throw idTaken(instance, decodeInstance(key, outcome.holder.value));
    } catch (error) {
      const final = error instanceof ConnectError ? error : refusal(error);
      if (final !== undefined) throw final;
      unanswered = error;
      await outage.failed(error, signal);
    }
  }
  await revoke(key, leased, log);
  const why = unanswered === undefined ? "" : `: etcd does not answer at ${endpoints.join(", ")}`;
  throw failure(Code.Canceled, "CANCELED", `the claim of ${key} was given up${why}`, {
    cause: unanswered ?? signal.reason,
  });
}

/** Ends with "lost", or with "released" when the signal aborts. */
async function keep(
  key: string,
  leased: LeasedKey,
  { leaseTtlMs, log }: RegistrationOptions,
  reclaimed: (revision: number) => void,
  signal: AbortSignal,
): Promise<"released" | "lost"> {
  const outage = createOutage(`registration of ${key}`, log);
  let isGone = false;
  let waitMs = leaseTtlMs / 3;
  for (;;) {
    await pause(waitMs, signal);
    if (signal.aborted) return "released";
    try {
      const state = await leased.extend();
      if (state === "gone") {
        if (!isGone) log("warn", "the key has gone, registering anew", { key });
        isGone = true;
        const outcome = await leased.put(async () => false);
        if (outcome.kind === "taken") return "lost";
        isGone = false;
        reclaimed(outcome.revision);
      }
      outage.passed();
      if (state === "taken") return "lost";
      waitMs = leaseTtlMs / 3;
    } catch (error) {
      await outage.failed(error, signal);
      waitMs = 0;
    }
  }
}

async function revoke(key: string, leased: LeasedKey, log: Log): Promise<void> {
  try {
    await leased.revoke();
  } catch (error) {
    log("warn", "etcd does not answer: the key stays until its lease ends", { key, error });
  }
}

function idTaken({ id }: ServiceInstance, holder: ServiceInstance | undefined): ConnectError {
  const where = holder === undefined ? "another process" : `${holder.address}:${holder.port}`;
  return failure(Code.AlreadyExists, "GATEWAY_ID_TAKEN", `${id} is held by ${where}, which answers`);
}
