import fc from "fast-check";
import { expect, test } from "vitest";
import { Connection } from "./connection.ts";
import { createCounters } from "./counters.ts";
import { createHub, type Recipients } from "./hub.ts";

const silent = { bufferedBytes: 0, write: () => 0, ping() {}, close() {} };
const identityOf = (userId: string) => ({ userId, deviceId: "", sessionId: "", expiresAtMs: 0 });

test("finds whom a record names, as a plain list would", () => {
  const id = fc.integer({ min: 0, max: 8 }).map((n) => `c${n}`);
  const user = fc.integer({ min: 0, max: 3 }).map((n) => `u${n}`);
  const step = fc.record({ connectionId: id, userId: user, stays: fc.boolean() });
  const nothing: Recipients = { userIds: [], connectionIds: [], excludedConnectionIds: [], broadcast: false };
  const one = user.map((userId): Recipients => ({ ...nothing, userIds: [userId] }));
  const any = fc.record({
    userIds: fc.array(user, { maxLength: 3 }),
    connectionIds: fc.array(id, { maxLength: 3 }),
    excludedConnectionIds: fc.array(id, { maxLength: 3 }),
    broadcast: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step), fc.oneof(one, any), (steps, wanted) => {
      const hub = createHub();
      const here = new Map<string, { readonly connection: Connection; readonly userId: string }>();
      for (const { connectionId, userId, stays } of steps) {
        const known = here.get(connectionId);
        if (known === undefined) {
          const connection = new Connection(connectionId, silent, { sendBufferBytes: 1 }, createCounters(), 0);
          here.set(connectionId, { connection, userId });
          hub.add(connection, identityOf(userId));
        } else if (!stays) {
          here.delete(connectionId);
          hub.remove(known.connection, identityOf(known.userId));
        }
      }
      const expected = [...here]
        .filter(
          ([connectionId, { userId }]) =>
            (wanted.broadcast || wanted.userIds.includes(userId) || wanted.connectionIds.includes(connectionId)) &&
            !wanted.excludedConnectionIds.includes(connectionId),
        )
        .map(([connectionId]) => connectionId);
      expect([...hub.find(wanted)].map((connection) => connection.id).sort()).toEqual(expected.sort());
      expect(hub.size).toBe(here.size);
    }),
  );
});
