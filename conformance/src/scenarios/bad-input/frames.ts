// Bad frames: each an `error` that says what and to which frame, counted, and the socket lives; or the close code of the contract.
import { ClientFrameSchema } from "@im-gateway/proto";
import { beforeAll, describe, expect, test } from "vitest";
import { asRecord, type ChatSocket, connect, register, type User } from "../../client.ts";
import { contentMark } from "../../output.ts";
import { changes, closes, poll, type Scrape, scrape } from "../../scrape.ts";
import { opcodes, openWireSocket, type WireFrame } from "../../wire-socket.ts";
import type { World } from "../../world.ts";
import { startBystanders } from "./bystanders.ts";
import { badFields, fieldsJson, past53 } from "./fields.ts";
import { expectErrorFrame, type Refusal } from "./refusal.ts";

/** Of every frame that is sent here and has one. */
const messageId = "the frame in question";
const maxFrameBytes = 65_536;

interface BadFrame extends Refusal {
  readonly text: string;
  /** What the error has to echo. Default: `messageId`. */
  readonly echo?: string;
  /** How `websocket_frames_total` counts it. Default: invalid. */
  readonly type?: string;
}

const malformed = { code: "invalid_argument", reason: "MALFORMED_JSON", echo: "" } as const;

function invalid(field: string): Refusal {
  return { code: "invalid_argument", reason: "INVALID_FIELD", field };
}

function frame(type: unknown, data: unknown): string {
  return JSON.stringify({ type, message_id: messageId, data });
}

function call(method: string, request: unknown = {}, more: object = {}): string {
  return frame("call", { method, request, ...more });
}

const envelopes: Readonly<Record<string, BadFrame>> = {
  "malformed JSON": { text: `{"type":"ping","message_id":"${messageId}"`, ...malformed },
  words: { text: contentMark, ...malformed },
  "nothing at all": { text: "", ...malformed },
  "a duplicate key": { text: '{"type":"ping","type":"ping"}', ...malformed },
  "a lone surrogate": { text: '{"type":"ping","message_id":"\\udc00"}', ...malformed },
  "nesting over 100": { text: `{"data":${"[".repeat(100)}${"]".repeat(100)}}`, ...malformed },
  "__proto__ as a key": { text: '{"type":"ping","data":{"__proto__":1}}', ...malformed },
  "an array": { text: "[]", code: "invalid_argument", reason: "MALFORMED_FRAME", echo: "" },
  "a string": { text: '"ping"', code: "invalid_argument", reason: "MALFORMED_FRAME", echo: "" },
  null: { text: "null", code: "invalid_argument", reason: "MALFORMED_FRAME", echo: "" },
  "an unknown type": { text: frame("fly", {}), code: "invalid_argument", reason: "UNKNOWN_FRAME_TYPE" },
  "a server's type": { text: frame("new-message", {}), code: "invalid_argument", reason: "UNKNOWN_FRAME_TYPE" },
  "a type with underscores": {
    text: frame("send_message", {}),
    code: "invalid_argument",
    reason: "UNKNOWN_FRAME_TYPE",
  },
  "the name of a property of all objects": {
    text: frame("constructor", {}),
    code: "invalid_argument",
    reason: "UNKNOWN_FRAME_TYPE",
  },
  "no type": { text: frame(undefined, {}), ...invalid("type") },
  "type null": { text: frame(null, {}), ...invalid("type") },
  "type as a number": { text: frame(7, {}), ...invalid("type") },
  "message_id as an object": { text: '{"type":"ping","message_id":{}}', ...invalid("message_id"), echo: "" },
  "timestamp as a text": {
    text: '{"type":"ping","message_id":"m","timestamp":"now"}',
    ...invalid("timestamp"),
    echo: "m",
  },
  "timestamp past 2^53": {
    text: '{"type":"ping","message_id":"m","timestamp":12345678901234567890}',
    ...invalid("timestamp"),
    echo: "m",
  },
  "data as an array": { text: frame("mark-read", []), ...invalid("data") },
  "data as a text": { text: frame("mark-read", contentMark), ...invalid("data") },
};

/** What a frame that calls a method can get wrong besides. */
const calls: Readonly<Record<string, BadFrame>> = {
  "a call of a service that is not there": {
    text: call("im.logic.v1.FlyService/Fly"),
    code: "unimplemented",
    reason: "UNKNOWN_METHOD",
    type: "call",
  },
  "a call of a method that is not there": {
    text: call("im.logic.v1.UserService/Fly"),
    code: "unimplemented",
    reason: "UNKNOWN_METHOD",
    type: "call",
  },
  "a call of no method": { text: call(contentMark), code: "unimplemented", reason: "UNKNOWN_METHOD", type: "call" },
  "a call with an unknown field": {
    text: call("im.logic.v1.UserService/GetMe", { fly: true }),
    ...invalid("fly"),
    type: "call",
  },
  "a call with a mistyped field": {
    text: call("im.logic.v1.UserService/GetUser", { user_id: {} }),
    ...invalid("user_id"),
    type: "call",
  },
  "a call without a required field": {
    text: call("im.logic.v1.UserService/GetUser"),
    ...invalid("user_id"),
    type: "call",
  },
  "a call with an identity field": {
    text: call("im.logic.v1.UserService/GetMe", { caller_id: "somebody-else" }),
    ...invalid("caller_id"),
    type: "call",
  },
  "a call of a public method with a field missing": {
    text: call("im.logic.v1.AuthService/Login", { username: "a" }),
    ...invalid("password"),
    type: "call",
  },
  "a call with an integer past 2^53": {
    text: call("im.logic.v1.ConversationService/MarkRead", { conversation_id: "c", seq_id: 1 }).replace(
      ":1}",
      `:${past53}}`,
    ),
    ...invalid("seq_id"),
    type: "call",
  },
  "a call with no time": {
    text: call("im.logic.v1.UserService/GetMe", {}, { timeout_ms: 0 }),
    ...invalid("timeout_ms"),
    type: "call",
  },
  "mark-read of a conversation that is not there": {
    text: frame("mark-read", { conversation_id: "nowhere", seq_id: 1 }),
    code: "not_found",
    reason: "CONVERSATION_NOT_FOUND",
    type: "mark-read",
  },
};

/** Every field of every frame of the contract: missing where it is required, and of every wrong type. */
function fieldCases(): readonly (readonly [name: string, bad: BadFrame])[] {
  return ClientFrameSchema.fields.flatMap((type) => {
    const typeName = type.name.replaceAll("_", "-");
    return badFields(type.message?.fields ?? []).map(({ name, fields, violation }) => {
      const text = `{"type":"${typeName}","message_id":"${messageId}","data":${fieldsJson(fields)}}`;
      return [`${typeName} ${name}`, { text, ...invalid(violation) }] as const;
    });
  });
}

/** What closes a socket at once: the pieces, and the code. */
const closing: Readonly<Record<string, readonly [code: number, ...frames: readonly WireFrame[]]>> = {
  "a frame that is too large": [1009, { opcode: opcodes.text, payload: Buffer.alloc(maxFrameBytes + 1, 0x20) }],
  "fragments that are too large together": [
    1009,
    { opcode: opcodes.text, payload: Buffer.alloc(40_000, 0x20), last: false },
    { opcode: opcodes.continuation, payload: Buffer.alloc(40_000, 0x20) },
  ],
  "a binary frame": [1003, { opcode: opcodes.binary, payload: Buffer.from([1, 2, 3]) }],
  "an empty binary frame": [1003, { opcode: opcodes.binary, payload: Buffer.alloc(0) }],
  "invalid UTF-8": [1007, { opcode: opcodes.text, payload: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }],
  "a surrogate in UTF-8": [1007, { opcode: opcodes.text, payload: Buffer.from([0xed, 0xa0, 0x80]) }],
};

/** What is no WebSocket: the connection ends, by which code is the library's matter. */
const noWebSocket: Readonly<Record<string, WireFrame>> = {
  "a frame without a mask": { opcode: opcodes.text, payload: Buffer.from("{}"), masked: false },
  "a reserved bit": { opcode: opcodes.text, payload: Buffer.from("{}"), reserved: 4 },
  "an unknown opcode": { opcode: 3, payload: Buffer.from("{}") },
  "a continuation of nothing": { opcode: opcodes.continuation, payload: Buffer.from("{}") },
  "a fragmented ping": { opcode: opcodes.ping, payload: Buffer.from("{}"), last: false },
};

export function badFrameScenarios(world: () => World): void {
  const gateway = (): World["gateways"][0] => world().gateways[0];

  describe("bad frames", () => {
    const bystanders = startBystanders(world);
    let user: User;
    beforeAll(async () => {
      user = await register(gateway(), "vandal");
    });

    const scraped = (): Promise<Scrape> => scrape(gateway().metrics);
    /** It answers a ping: so all that was sent before has been dealt with. */
    const expectAlive = async (socket: ChatSocket): Promise<void> => {
      const ping = socket.send("ping", {});
      await socket.next("pong", ({ message_id }) => message_id === ping);
    };

    const refused = async (_name: string, { text, echo = messageId, type = "invalid", ...refusal }: BadFrame) => {
      const socket = await connect(gateway(), user);
      const before = await scraped();
      socket.sendText(text);
      const error = await socket.next("error");
      expect(error.message_id).toBe(echo);
      expectErrorFrame(error, refusal, contentMark);
      await expectAlive(socket);
      expect(socket.frames.map((one) => one.type)).toEqual(["connected", "error", "pong"]);
      const counted = changes("websocket_frames_total", before, await scraped());
      expect(counted).toMatchObject({
        [`direction="in",type="${type}"`]: 1,
        'direction="out",type="error"': 1,
      });
      await socket.close();
    };

    test.each(Object.entries(envelopes))("%s", refused);
    test.each(fieldCases())("%s", refused);
    test.each(Object.entries(calls))("%s", refused);

    test("every frame of the contract is in the table", () => {
      const names = fieldCases().map(([name]) => name.split(" ")[0]);
      const types = ClientFrameSchema.fields.filter(
        (field) => field.message !== undefined && field.message.fields.length > 0,
      );
      expect([...new Set(names)]).toEqual(types.map(({ name }) => name.replaceAll("_", "-")));
    });

    test("a message_type that nobody knows yet is passed on, an id may be a number, unknown fields do not matter", async () => {
      const socket = await connect(gateway(), user);
      const data = { conversation_id: 4711, message_type: 99, content: "x", client_msg_id: 12, fly: true };
      socket.sendText(JSON.stringify({ type: "send-message", message_id: 7, data, fly: true }));
      const ack = await socket.next("message-ack");
      expect([ack.message_id, ack.data.client_msg_id]).toEqual(["7", "12"]);
      await socket.close();
    });

    test("an identity in a frame is ignored", async () => {
      const socket = await connect(gateway(), user);
      socket.sendText(frame("ping", { user_id: "somebody-else", sender_id: "somebody-else" }));
      await socket.next("pong");
      await socket.close();
    });

    test("a public method is called over the socket as any other", async () => {
      const socket = await connect(gateway(), user);
      socket.sendText(call("im.logic.v1.AuthService/Logout"));
      // The session ends at every gateway, here too: its sockets may be closed before the reply.
      expect((await socket.closed).code).toBe(4501);
      const replies = socket.frames.filter(({ type }) => type === "reply");
      expect(replies.map(({ data }) => asRecord(data.response))).toEqual(replies.map(() => ({})));
      user = await register(gateway(), "vandal");
    });

    test("ten bad frames in a minute are endured, the eleventh closes 4500", async () => {
      const socket = await connect(gateway(), user);
      const before = await scraped();
      for (let count = 1; count <= 10; count++) {
        socket.sendText("{");
      }
      await expectAlive(socket);
      expect(socket.frames.filter(({ type }) => type === "error")).toHaveLength(10);
      socket.sendText("{");
      expect((await socket.closed).code).toBe(4500);
      expect(socket.frames.filter(({ type }) => type === "error")).toHaveLength(10);
      await expect.poll(closes(gateway(), before), poll).toEqual({ 'code="4500"': 1 });
      expect(changes("websocket_frames_total", before, await scraped())).toMatchObject({
        'direction="in",type="invalid"': 11,
      });
    });

    test("a frame of the largest size is taken, also in fragments", async () => {
      const socket = await openWireSocket(gateway(), user.accessToken);
      const text = frame("ping", { pad: "" });
      const payload = Buffer.from(text.replace('""', `"${"x".repeat(maxFrameBytes - text.length)}"`));
      expect(payload).toHaveLength(maxFrameBytes);
      socket.send({ opcode: opcodes.text, payload: payload.subarray(0, 30_000), last: false });
      // Control frames may come between fragments (RFC 6455 §5.4).
      socket.send({ opcode: opcodes.ping, payload: Buffer.alloc(0) });
      socket.send({ opcode: opcodes.continuation, payload: payload.subarray(30_000, 60_000), last: false });
      socket.send({ opcode: opcodes.continuation, payload: payload.subarray(60_000) });
      expect((await socket.next("pong")).message_id).toBe(messageId);
      socket.destroy();
    });

    test.each(Object.entries(closing))("%s: a close, counted by its code", async (_name, [code, ...frames]) => {
      const socket = await openWireSocket(gateway(), user.accessToken);
      const before = await scraped();
      for (const one of frames) {
        socket.send(one);
      }
      expect(await socket.closeCode()).toBe(code);
      // Without a closing handshake from this side.
      socket.destroy();
      await expect.poll(closes(gateway(), before), poll).toEqual({ [`code="${code}"`]: 1 });
    });

    test.each(Object.entries(noWebSocket))("%s: the socket ends", async (_name, one) => {
      const socket = await openWireSocket(gateway(), user.accessToken);
      const before = await scraped();
      socket.send(one);
      await socket.ended();
      const counted = closes(gateway(), before);
      await expect.poll(async () => Object.values(await counted()), poll).toEqual([1]);
    });

    bystanders.addTest();
  });
}
