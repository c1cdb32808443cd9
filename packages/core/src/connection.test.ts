// One socket's life, against a model that is nothing but lists; the socket is a recording one.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EncodedFrame, Socket } from "./adapters.ts";
import { Connection } from "./connection.ts";
import { createCounters } from "./counters.ts";
import { CloseCode } from "./errors.ts";
import { createTurn } from "./turn.ts";

const identity = { userId: "u", deviceId: "d", sessionId: "s", expiresAtMs: 1_000_000 };
const renewed = { ...identity, expiresAtMs: 2_000_000 };

interface Recorded {
  readonly socket: Socket;
  /** Frames by their first character, a list for each write. */
  readonly writes: number[][];
  readonly log: string[];
  buffered: number;
}

function recorded(): Recorded {
  const own: Recorded = {
    writes: [],
    log: [],
    buffered: 0,
    socket: {
      get bufferedBytes() {
        return own.buffered;
      },
      write(frames) {
        own.writes.push(frames.map(({ text }) => text.charCodeAt(0)));
        own.log.push("write");
        return frames.length;
      },
      ping: () => void own.log.push("ping"),
      close: (code, reason) => void own.log.push(`close ${code} ${reason}`),
    },
  };
  return own;
}

function connect(own: Recorded, sendBufferBytes = 1000): Connection {
  return new Connection("c1", own.socket, { sendBufferBytes }, createCounters(), 5);
}

const frame = (first: number, length = 1): EncodedFrame => {
  return { text: String.fromCharCode(first).repeat(length), lossy: false, prepared: undefined };
};

describe("a socket's life", () => {
  test("waits, is somebody's, and is closed for good", () => {
    const own = recorded();
    const connection = connect(own);
    expect([connection.state, connection.identity]).toEqual([{ t: "waiting", sinceMs: 5, held: undefined }, undefined]);
    expect(connection.authenticated(identity)).toEqual([]);
    expect(connection.identity).toBe(identity);
    connection.authenticated(renewed);
    expect(connection.identity).toBe(renewed);
    expect(connection.close(CloseCode.TOKEN_EXPIRED, "expired")).toBe(renewed);
    expect([connection.state, connection.identity]).toEqual([{ t: "closed", code: 4003 }, undefined]);
    expect(connection.close(CloseCode.SERVICE_RESTART, "again")).toBeUndefined();
    expect(connection.closed()).toBeUndefined();
    connection.authenticated(identity);
    connection.verifying();
    expect(connection.state).toEqual({ t: "closed", code: 4003 });
    expect(own.log).toEqual(["close 4003 expired"]);
  });

  test("a peer that goes first is asked nothing more", () => {
    const own = recorded();
    const connection = connect(own);
    connection.authenticated(identity);
    connection.queue(frame(1));
    expect(connection.closed()).toBe(identity);
    expect(connection.closed()).toBeUndefined();
    expect(connection.flush()).toBe(true);
    connection.close(CloseCode.SERVICE_RESTART, "restart");
    expect(own.log).toEqual([]);
  });

  test("what was queued leaves before the close", () => {
    const own = recorded();
    const connection = connect(own);
    connection.queue(frame(1));
    connection.queue(frame(2));
    connection.close(CloseCode.SERVICE_RESTART, "restart");
    expect(connection.queue(frame(3))).toBe(0);
    expect(connection.flush()).toBe(true);
    expect([own.writes, own.log]).toEqual([[[1, 2]], ["write", "close 1012 restart"]]);
  });
});

describe("texts that come while a token is verified", () => {
  test("are given back in order, once; before and after there is no holding", () => {
    const connection = connect(recorded());
    expect(connection.hold("a")).toBe("not-verifying");
    for (const who of [identity, renewed]) {
      connection.verifying();
      expect(["b", "c"].map((text) => connection.hold(text))).toEqual(["held", "held"]);
      expect(connection.authenticated(who)).toEqual(["b", "c"]);
      expect(connection.hold("d")).toBe("not-verifying");
      expect(connection.authenticated(who)).toEqual([]);
    }
  });

  test("are 64 at most", () => {
    const connection = connect(recorded());
    connection.verifying();
    const answers = Array.from({ length: 65 }, () => connection.hold("x"));
    expect(answers.indexOf("full")).toBe(64);
  });

  test("do not stop the time for the first token, and are gone with the socket", () => {
    const connection = connect(recorded());
    connection.verifying();
    connection.hold("x");
    expect(connection.state).toEqual({ t: "waiting", sinceMs: 5, held: ["x"] });
    connection.close(CloseCode.AUTH_TIMEOUT, "late");
    expect(connection.hold("y")).toBe("not-verifying");
    expect(connection.authenticated(identity)).toEqual([]);
  });
});

test("a new token is announced anew before its end", () => {
  const connection = connect(recorded());
  connection.authenticated(identity);
  connection.expiringSent = true;
  connection.authenticated(renewed);
  expect(connection.expiringSent).toBe(false);
});

describe("bad frames", () => {
  test.each([
    ["ten in a minute", Array.from({ length: 10 }, (_, n) => n * 6000), false],
    ["eleven in a minute", Array.from({ length: 11 }, (_, n) => n * 5999), true],
    ["eleven, the first a minute before the last", [0, ...Array.from({ length: 10 }, () => 60_000)], false],
    ["eleven, the first just within", [1, ...Array.from({ length: 10 }, () => 60_000)], true],
    ["one every six seconds, for an hour", Array.from({ length: 600 }, (_, n) => n * 6000), false],
    ["ten, an hour later ten more", Array.from({ length: 20 }, (_, n) => (n < 10 ? 0 : 3_600_000)), false],
  ])("%s: too many is %s", (_name, timesMs, tooMany) => {
    const connection = connect(recorded());
    expect(timesMs.map((atMs) => connection.countBadFrame(atMs)).includes(true)).toBe(tooMany);
  });
});

describe("the bound of what waits for a reader", () => {
  test.each([
    ["whatever one turn has", 0, [60, 4100], true],
    ["a socket that holds the limit", 100, [60], true],
    ["a socket that holds one byte more", 101, [1], false],
    ["nothing to send to a full socket", 5000, [], true],
  ])("%s", (_name, buffered, lengths, passes) => {
    const own = recorded();
    own.buffered = buffered;
    const connection = connect(own, 100);
    for (const length of lengths) {
      connection.queue(frame(1, length));
    }
    expect(connection.flush()).toBe(passes);
    expect(own.writes.length).toBe(passes && lengths.length > 0 ? 1 : 0);
  });

  test("what was dropped does not count again", () => {
    const own = recorded();
    const connection = connect(own, 100);
    own.buffered = 101;
    connection.queue(frame(1, 101));
    expect(connection.flush()).toBe(false);
    own.buffered = 0;
    expect(connection.queue(frame(2, 100))).toBe(1);
    expect(connection.flush()).toBe(true);
    expect(own.writes).toEqual([[2]]);
  });
});

describe("a turn", () => {
  test("whatever is sent in turns arrives in order, in one write a turn, until the close; nothing after it", () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant("send" as const),
          to: fc.nat(2),
          length: fc.integer({ min: 1, max: 60 }),
        }),
      },
      { weight: 3, arbitrary: fc.record({ do: fc.constant("end of turn" as const) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant("stall" as const),
          to: fc.nat(2),
          bytes: fc.integer({ min: 90, max: 110 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("close" as const, "gone" as const), to: fc.nat(2) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const limit = 100;
        const peers = Array.from({ length: 3 }, () => {
          const own = recorded();
          const connection = connect(own, limit);
          connection.authenticated(identity);
          return {
            own,
            connection,
            queued: [] as { first: number }[],
            expected: [] as number[][],
            open: true,
          };
        });
        let endTurn: (() => void) | undefined;
        const slow: Connection[] = [];
        const turn = createTurn(
          (run) => {
            expect(endTurn).toBeUndefined();
            endTurn = run;
          },
          (connection) => {
            slow.push(connection);
            connection.close(CloseCode.SLOW_CONSUMER, "slow");
          },
        );
        const flushed = (peer: (typeof peers)[number]): void => {
          if (peer.open && peer.queued.length > 0 && peer.own.buffered <= limit) {
            peer.expected.push(peer.queued.map(({ first }) => first));
          }
          peer.open = peer.open && (peer.queued.length === 0 || peer.own.buffered <= limit);
          peer.queued = [];
        };
        let count = 0;
        for (const each of [...steps, { do: "end of turn" as const }]) {
          if (each.do === "end of turn") {
            const run = endTurn;
            endTurn = undefined;
            run?.();
            peers.forEach(flushed);
            continue;
          }
          const peer = peers[each.to] ?? expect.unreachable("no such peer");
          if (each.do === "stall") {
            peer.own.buffered = each.bytes;
          } else if (each.do === "send") {
            count = (count + 1) % 250;
            turn.send(peer.connection, frame(count, each.length));
            peer.queued.push({ first: count });
          } else if (each.do === "close") {
            peer.connection.close(CloseCode.SERVICE_RESTART, "restart");
            flushed(peer);
            peer.open = false;
          } else {
            peer.connection.closed();
            peer.open = false;
          }
        }
        for (const { own, connection, expected, open } of peers) {
          expect(own.writes).toEqual(expected);
          expect(connection.state.t).toBe(open ? "open" : "closed");
          expect(own.log.filter((line) => line.startsWith("close")).length).toBeLessThanOrEqual(1);
          expect(own.log.findIndex((line) => line.startsWith("close"))).toBeOneOf([-1, own.log.length - 1]);
        }
        expect(new Set(slow).size).toBe(slow.length);
      }),
    );
  });

  test("ends with the microtasks where nothing else is given", async () => {
    const own = recorded();
    const turn = createTurn(undefined, () => expect.unreachable("nobody is slow"));
    const connection = connect(own);
    turn.send(connection, frame(1));
    turn.send(connection, frame(2));
    expect(own.writes).toEqual([]);
    await Promise.resolve();
    expect(own.writes).toEqual([[1, 2]]);
    turn.send(connection, frame(3));
    await Promise.resolve();
    expect(own.writes).toEqual([[1, 2], [3]]);
  });

  test.each([
    ["10,000 frames, whoever they are for", 10_000, 1],
    ["128 KiB for one connection", 4, 32 * 1024],
  ])("is full with %s, and not before; its end empties it", async (_name, frames, length) => {
    const turn = createTurn(undefined, () => expect.unreachable("nobody is slow"));
    const connections = [connect(recorded()), connect(recorded())];
    for (let n = 1; n <= frames; n += 1) {
      expect(turn.full).toBe(false);
      const to = connections[length === 1 ? n % 2 : 0] ?? expect.unreachable();
      turn.send(to, frame(1, length));
    }
    expect(turn.full).toBe(true);
    await turn.ended();
    expect(turn.full).toBe(false);
  });

  test("what is sent while it ends belongs to the next one", () => {
    const own = recorded();
    const ends: (() => void)[] = [];
    const turn = createTurn(
      (run) => ends.push(run),
      (slow) => {
        slow.close(CloseCode.SLOW_CONSUMER, "slow");
        turn.send(other, frame(9));
      },
    );
    const stalled = recorded();
    stalled.buffered = 2;
    const slow = connect(stalled, 1);
    const other = connect(own);
    turn.send(slow, frame(1, 2));
    turn.send(other, frame(2));
    ends.shift()?.();
    expect(own.writes.flat()).toEqual(expect.arrayContaining([2]));
    ends.shift()?.();
    expect(own.writes.flat().sort()).toEqual([2, 9]);
  });
});
