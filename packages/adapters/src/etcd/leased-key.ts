// One key under a lease of ours.
import { type Etcd3, EtcdLeaseInvalidError, type IKeyValue, type Lease } from "etcd3";

export interface LeasedKeyOptions {
  readonly client: Etcd3;
  readonly key: string;
  readonly value: string;
  readonly leaseTtlMs: number;
  readonly callTimeoutMs: number;
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
   * Keeps the lease alive, looks at the key, and writes the value that it should have. "gone": nobody has it, since the
   * lease is gone or somebody deleted the key; "taken": another has it. Only etcd says so, no clock of ours: after an
   * outage the lease may still live, and then nobody has taken this instance for dead.
   */
  extend(): Promise<"held" | "gone" | "taken">;
  /** The value from now on, also of a later `put`. Written if the key is ours. */
  write(value: string): Promise<void>;
  /** Deletes the key if it is ours: etcd does so as it revokes the lease. */
  revoke(): Promise<void>;
}

export function createLeasedKey(options: LeasedKeyOptions): LeasedKey {
  const { client, key, leaseTtlMs, callTimeoutMs } = options;
  let { value } = options;
  // All that were granted: a put whose answer was lost may stand under any of them.
  const leases = new Map<string, Lease>();
  let current: { readonly id: string; readonly lease: Lease } | undefined;

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

  async function writeUnder(leaseId: string): Promise<void> {
    await client.if(key, "Lease", "==", leaseId).then(client.put(key).value(value).lease(leaseId)).commit();
  }

  return {
    async put(mayReplace) {
      current = undefined;
      const lease = client.lease(Math.ceil(leaseTtlMs / 1000), { autoKeepAlive: false });
      const id = await lease.grant();
      leases.set(id, lease);
      const outcome = await putUnder(id, mayReplace);
      if (outcome.kind === "held") current = { id, lease };
      return outcome;
    },
    async extend() {
      if (current === undefined) return "gone";
      try {
        await keepAlive(current.lease, callTimeoutMs);
      } catch (error) {
        if (error instanceof EtcdLeaseInvalidError) return "gone";
        throw error;
      }
      const { kvs } = await client.get(key).exec();
      const [found] = kvs;
      if (found === undefined) return "gone";
      if (found.lease !== current.id) return "taken";
      if (found.value.toString() !== value) await writeUnder(current.id);
      return "held";
    },
    async write(next) {
      value = next;
      if (current !== undefined) await writeUnder(current.id);
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
