// Streams over HTTP: their two formats, what fails before and after the first message, back-pressure and readers that leave.
import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { Code, createRouterTransport, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { type MessageSchema, MessageService } from "@im-gateway/proto";
import { describe, expect, test } from "vitest";
import { libraryOf, rule, transcoderOf } from "../../test/library.ts";
import { failure } from "../errors.ts";
import { type Answered, createTranscoder, type Transcoder } from "./transcoder.ts";

type Export = ServiceImpl<typeof MessageService>["exportMessages"];
type Init = MessageInitShape<typeof MessageSchema>;

const denied = () => failure(Code.PermissionDenied, "NOT_A_MEMBER", "not yours");

interface Harness {
  readonly transcoder: Transcoder;
  readonly answers: Answered[];
  readonly errors: string[];
}

function serve(exportMessages: Export): Harness {
  const answers: Answered[] = [];
  const errors: string[] = [];
  const transcoder = createTranscoder({
    services: [MessageService],
    transport: createRouterTransport(({ service }) => service(MessageService, { exportMessages })),
    onAnswer: (answer) => answers.push(answer),
    onError: ({ rawMessage }) => errors.push(rawMessage),
  });
  return { transcoder, answers, errors };
}

const path = "/api/v1/conversations/c/messages:export";

function get({ transcoder }: Harness, accept?: string, method = "GET", signal?: AbortSignal): Promise<Response> {
  return transcoder.handle({
    method,
    path,
    headers: new Headers({ traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, ...(accept && { accept }) }),
    body: null,
    ...(signal && { signal }),
  });
}

const message = (seqId: bigint): Init => ({ seqId, content: "line\nbreak \u2028" });
const shown = (seq_id: number): JsonValue => ({
  message_id: "",
  conversation_id: "",
  sender_id: "",
  message_type: 0,
  content: "line\nbreak \u2028",
  seq_id,
  timestamp: 0,
  client_msg_id: "",
});
const deniedBody = {
  code: "permission_denied",
  message: "not yours",
  details: [
    { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "NOT_A_MEMBER", domain: "im-gateway", metadata: {} },
  ],
  trace_id: "a".repeat(32),
};

const two: Export = async function* () {
  yield message(1n);
  yield message(2n);
};
const broken: Export = async function* () {
  yield message(1n);
  throw denied();
};
const nothing: readonly Init[] = [];
const empty: Export = async function* () {
  yield* nothing;
};
const failing: Export = async function* () {
  yield* nothing;
  throw denied();
};

const lines = (text: string): JsonValue[] => {
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text
    .split("\n")
    .filter(Boolean)
    .map((line): JsonValue => JSON.parse(line));
};
const events = (text: string): JsonValue[] => {
  expect(text.startsWith(":\n\n")).toBe(true);
  return text
    .slice(3)
    .split("\n\n")
    .filter(Boolean)
    .map((event) => {
      const [, name = "message", data = ""] = /^(?:event: (\w+)\n)?data: (.*)$/s.exec(event) ?? [];
      return [name, JSON.parse(data)];
    });
};

describe("the format goes by Accept", () => {
  test.each([
    [undefined, "application/x-ndjson"],
    ["*/*", "application/x-ndjson"],
    ["application/x-ndjson", "application/x-ndjson"],
    ["text/event-stream", "text/event-stream"],
    ["text/event-stream, application/x-ndjson;q=0.5", "text/event-stream"],
    ["text/*", "text/event-stream"],
    ["application/x-ndjson;q=0, */*", "text/event-stream"],
  ])("%s: %s", async (accept, type) => {
    const harness = serve(two);
    const response = await get(harness, accept);
    const { status, headers } = response;
    expect([status, headers.get("content-type"), headers.get("cache-control")]).toEqual([200, type, "no-store"]);
    const text = await response.text();
    expect(type === "text/event-stream" ? events(text) : lines(text)).toEqual(
      type === "text/event-stream"
        ? [
            ["message", shown(1)],
            ["message", shown(2)],
            ["end", {}],
          ]
        : [shown(1), shown(2)],
    );
    expect(harness.answers).toMatchObject([{ httpMethod: "GET", status: 200, route: { path: expect.any(String) } }]);
  });

  test.each(["application/json", "text/html"])("%s: 406", async (accept) => {
    const response = await get(serve(two), accept);
    expect([response.status, response.headers.get("content-type")]).toEqual([406, "application/json"]);
  });
});

test("a stream of nothing is an empty body, or its end", async () => {
  expect(await (await get(serve(empty))).text()).toBe("");
  expect(events(await (await get(serve(empty), "text/event-stream")).text())).toEqual([["end", {}]]);
});

describe("an error", () => {
  test.each([undefined, "text/event-stream"])("before the first message is a plain one (%s)", async (accept) => {
    const harness = serve(failing);
    const response = await get(harness, accept);
    expect([response.status, response.headers.get("content-type")]).toEqual([403, "application/json"]);
    expect(await response.json()).toEqual(deniedBody);
    expect(harness.answers).toMatchObject([{ status: 403 }]);
    expect(harness.errors).toEqual(["not yours"]);
  });

  test("after it is the last line", async () => {
    const harness = serve(broken);
    const response = await get(harness);
    expect(response.status).toBe(200);
    expect(lines(await response.text())).toEqual([shown(1), { error: deniedBody }]);
    expect(harness.errors).toEqual(["not yours"]);
    expect(harness.answers).toMatchObject([{ status: 200 }]);
  });

  test("after it is the last event, and there is no end", async () => {
    const response = await get(serve(broken), "text/event-stream");
    expect(events(await response.text())).toEqual([
      ["message", shown(1)],
      ["error", deniedBody],
    ]);
  });

  test("of ours says nothing of itself, in the stream as well", async () => {
    const harness = serve(async function* () {
      yield message(1n);
      // No JSON number holds it.
      yield message(2n ** 60n);
    });
    const [, last] = lines(await (await get(harness)).text());
    expect(last).toMatchObject({ error: { code: "internal", details: [{ reason: "INTEGER_TOO_LARGE" }] } });
  });
});

test("an event stream's headers do not wait for a first message that takes long; its error is in the stream then", async () => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const harness = serve(async function* () {
    await released;
    yield* nothing;
    throw denied();
  });
  const response = await get(harness, "text/event-stream");
  expect(response.status).toBe(200);
  const reader = (response.body ?? expect.unreachable("no body")).getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe(":\n\n");
  release();
  const rest = new TextDecoder().decode((await reader.read()).value);
  expect(events(`:\n\n${rest}`)).toEqual([["error", deniedBody]]);
  expect((await reader.read()).done).toBe(true);
});

test("HEAD is answered as GET would be, and ends the call", async () => {
  let context: HandlerContext | undefined;
  const harness = serve(async function* (_, received) {
    context = received;
    for (let seqId = 1n; ; seqId++) yield message(seqId);
  });
  const response = await get(harness, undefined, "HEAD");
  expect([response.status, response.headers.get("content-type"), await response.text()]).toEqual([
    200,
    "application/x-ndjson",
    "",
  ]);
  expect(context?.signal.aborted).toBe(true);
  expect(harness.answers).toMatchObject([{ httpMethod: "HEAD", status: 200 }]);
  expect((await get(serve(failing), undefined, "HEAD")).status).toBe(403);
});

describe("back-pressure", () => {
  const endless = () => {
    const seen: { made: number; context?: HandlerContext } = { made: 0 };
    const harness = serve(async function* (_, context) {
      seen.context = context;
      for (;;) {
        seen.made += 1;
        yield { content: "x".repeat(4096) };
      }
    });
    return { harness, seen };
  };
  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve));
  };

  test("no message is asked for while the reader does not read", async () => {
    const { harness, seen } = endless();
    const response = await get(harness);
    const reader = (response.body ?? expect.unreachable("no body")).getReader();
    await turns(50);
    const before = seen.made;
    expect(before).toBeLessThan(12);
    await turns(50);
    expect(seen.made).toBe(before);
    for (let count = 0; count < 20; count++) await reader.read();
    expect(seen.made).toBeGreaterThanOrEqual(20);
    expect(harness.answers).toEqual([]);
    await reader.cancel();
    await turns(10);
    expect(seen.context?.signal.aborted).toBe(true);
    expect(harness.answers).toMatchObject([{ status: 200 }]);
  });

  test("a client that goes away ends the call, and is counted once", async () => {
    const { harness, seen } = endless();
    const controller = new AbortController();
    const response = await get(harness, undefined, "GET", controller.signal);
    const text = response.text();
    controller.abort();
    await text;
    await turns(10);
    expect([seen.context?.signal.aborted, harness.answers.length]).toEqual([true, 1]);
  });

  test("one that is gone already calls nothing that stays", async () => {
    const { harness, seen } = endless();
    const response = await get(harness, undefined, "GET", AbortSignal.abort());
    expect([response.status, seen.made]).toEqual([499, 0]);
  });
});

test("response_body and success_status are for each message and for the stream", async () => {
  const services = [
    libraryOf([rule("GET /books/{book_id}", "", { responseBody: "book_id" })], { serverStreaming: true }),
  ];
  const response = await transcoderOf([], { services }).handle({
    method: "GET",
    path: "/books/b",
    headers: new Headers(),
    body: null,
  });
  expect(await response.text()).toBe('"b"\n"b"\n"b"\n');
});
