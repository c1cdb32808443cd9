// One key under a lease of ours.
import { type Etcd3, EtcdLeaseInvalidError, type IKeyValue, type Lease } from "etcd3";

export interface LeasedKeyOptions {
  readonly client: Etcd3;
  readonly key: string;
  readonly value: string;
  readonly leaseTtlMs: number;
  readonly callTimeoutMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export type PutOutcome =
  | { readonly kind: "held"; readonly revision: number }
  | { readonly kind: "taken"; readonly holder: IKeyValue };

/** Every method rejects with etcd3's errors. */
export interface LeasedKey {
  /**
   * Grants a lease and puts the key under it, if the key is absent, ours already, or as `mayReplace` says of
   * another's. The last by a compare with the revision that it was asked about.
   */
  put(mayReplace: (holder: IKeyValue) => Promise<boolean>): Promise<PutOutcome>;
  /**
   * Keeps the lease alive and looks at the key. "expired": the lease is gone, and the key with it; "lost": the key is
   * another's, or was deleted.
   */
  extend(): Promise<"held" | "expired" | "lost">;
  /** Deletes the key if it is ours: etcd does so as it revokes the lease. */
  revoke(): Promise<void>;
}

export function createLeasedKey(options: LeasedKeyOptions): LeasedKey {
  const { client, key, value, leaseTtlMs, callTimeoutMs, now } = options;
  // All that were granted: a put whose answer was lost may stand under any of them.
  const leases = new Map<string, Lease>();
  let current: { readonly id: string; readonly lease: Lease; untilMs: number } | undefined;

  async function putUnder(leaseId: string, mayReplace: (holder: IKeyValue) => Promise<boolean>): Promise<PutOutcome> {
    const put = () => client.put(key).value(value).lease(leaseId);
    for (;;) {
      const ifAbsent = await client.if(key, "Create", "==", 0).then(put()).else(client.get(key)).commit();
      if (ifAbsent.succeeded) return { kind: "held", revision: Number(ifAbsent.header.revision) };
      const holder = ifAbsent.responses[0]?.response_range.kvs[0];
      if (holder === undefined) continue;
      if (!leases.has(holder.lease) && !(await mayReplace(holder))) return { kind: "taken", holder };
      const ifUnchanged = await client.if(key, "Mod", "==", holder.mod_revision).then(put()).commit();
      if (ifUnchanged.succeeded) return { kind: "held", revision: Number(ifUnchanged.header.revision) };
    }
  }

  return {
    async put(mayReplace) {
      current = undefined;
      const sentMs = now();
      const lease = client.lease(Math.ceil(leaseTtlMs / 1000), { autoKeepAlive: false });
      const id = await lease.grant();
      leases.set(id, lease);
      const outcome = await putUnder(id, mayReplace);
      if (outcome.kind === "held") current = { id, lease, untilMs: sentMs + leaseTtlMs };
      return outcome;
    },
    async extend() {
      const sentMs = now();
      // etcd3 would call the lease lost only a whole TTL later.
      if (current === undefined || sentMs >= current.untilMs) return "expired";
      try {
        await keepAlive(current.lease, callTimeoutMs);
      } catch (error) {
        if (error instanceof EtcdLeaseInvalidError) return "expired";
        throw error;
      }
      current.untilMs = sentMs + leaseTtlMs;
      const { kvs } = await client.get(key).exec();
      return kvs[0]?.lease === current.id ? "held" : "lost";
    },
    async revoke() {
      current = undefined;
      await Promise.all([...leases.values()].map((lease) => lease.revoke()));
    },
  };
}

/** etcd3 sets the deadline on the stream only, and waits for ever when that ends without an answer. */
async function keepAlive(lease: Lease, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("etcd did not answer the keep-alive")), timeoutMs);
  });
  try {
    await Promise.race([lease.keepaliveOnce({ deadline: Date.now() + timeoutMs }), tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
