import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { openStore } from "./store.ts";

it("does all of a transaction's work or nothing, and is usable after", () => {
  const store = openStore();
  const add = store.prepare("INSERT INTO gateways (gateway_id, epoch) VALUES (?, 1)");
  const count = store.prepare("SELECT count(*) AS gateways FROM gateways");
  const failing = (): void =>
    store.transaction(() => {
      add.run("g1");
      store.transaction(() => add.run("g2"));
      throw new Error("no");
    });
  expect(failing).toThrow("no");
  expect(count.get()).toEqual({ gateways: 0 });
  expect(store.transaction(() => store.transaction(() => add.run("g1").changes))).toBe(1);
  expect(count.get()).toEqual({ gateways: 1 });
  store.close();
});

it("opens its own file again, durable, and refuses one of a newer version", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  try {
    openStore(dataDir).close();
    const store = openStore(dataDir);
    expect(store.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
    expect(store.prepare("PRAGMA synchronous").get()).toEqual({ synchronous: 2 });
    store.close();
    const newer = new DatabaseSync(join(dataDir, "im-logic.sqlite"));
    newer.exec("PRAGMA user_version=99");
    newer.close();
    expect(() => openStore(dataDir)).toThrow("schema version 99");
  } finally {
    await rm(dataDir, { recursive: true });
  }
});

it("brings a file of the first version further, and keeps what is in it", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "im-logic-"));
  try {
    const path = join(dataDir, "im-logic.sqlite");
    openStore(dataDir).close();
    const old = new DatabaseSync(path);
    old.exec(`DROP TABLE announcements; DROP INDEX routes_by_gateway; ALTER TABLE gateways DROP COLUMN absent_since_ms;
      ALTER TABLE gateways DROP COLUMN instance; ALTER TABLE gateways DROP COLUMN begun_revision;
      INSERT INTO routes (user_id, gateway_id, connection_id, seq) VALUES ('u', 'g', 'c1', 1), ('u', 'g', 'c2', 2);
      DROP TABLE friends; DROP TABLE friend_requests; DROP TABLE blocks; DROP INDEX messages_by_id;
      DROP TABLE outbox_losses; DROP TABLE revocations; ALTER TABLE users DROP COLUMN last_seen_ms; PRAGMA user_version=1;
      INSERT INTO users VALUES ('u', 'Ada', 'ada', 'Ada', '', NULL, 1);`);
    old.close();
    const store = openStore(dataDir);
    expect(store.prepare("SELECT nickname, last_seen_ms FROM users").all()).toEqual([
      { nickname: "Ada", last_seen_ms: 0 },
    ]);
    expect(store.prepare("SELECT * FROM friends, friend_requests, blocks").all()).toEqual([]);
    expect(store.prepare("SELECT * FROM announcements").all()).toEqual([
      { user_id: "u", announced: null, check_at_ms: 0 },
    ]);
    store.close();
  } finally {
    await rm(dataDir, { recursive: true });
  }
});

it.each([
  ["below a file", "package.json/data"],
  ["below /proc", "/proc/nowhere/data"],
  ["in a folder that is not there", "nowhere/data"],
])("says at once that a folder cannot be made %s", (_name, path) => {
  expect(() => openStore(resolve(import.meta.dirname, "..", path))).toThrow("data_dir: the folder");
});
