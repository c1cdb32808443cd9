// etcd as a test reads and writes it.
import type { Etcd } from "@im-gateway/tools/etcd";
import { Etcd3 } from "etcd3";
import type { Context } from "./scenario.ts";

/** A client that the context's end closes. */
export function connectEtcd(context: Context, etcd: Etcd): Etcd3 {
  const client = new Etcd3({ hosts: [...etcd.endpoints] });
  context.defer(() => client.close());
  return client;
}

/** Announces an endpoint of im-logic on 127.0.0.1, without a lease. */
export async function registerLogic(context: Context, etcd: Etcd, id: string, port: number): Promise<void> {
  const instance = { id, name: "im-logic", address: "127.0.0.1", port, metadata: {} };
  await connectEtcd(context, etcd).put(`/services/im-logic/${id}`).value(JSON.stringify(instance));
}

/** Forgets all revisions but the last: a watch that was away before can not go on. */
export async function compact(etcd: Etcd3): Promise<void> {
  // Any write will do: its revision is the last.
  const { header } = await etcd.put("/chaos/compacted").value("");
  await etcd.kv.compact({ revision: header.revision, physical: true });
}
