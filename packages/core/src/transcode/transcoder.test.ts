import { createRegistry } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { AuthService, ConversationService, GroupService, MessageService, UserService } from "@im-gateway/proto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { failure, invalidFields } from "../errors.ts";
import { createTranscoder, type RawRequest } from "./transcoder.ts";

/** What reached the back end last. */
let received: unknown;
const keep = <T extends { readonly $typeName: string }>({ $typeName, ...request }: T): object => {
  received = { type: $typeName.split(".").at(-1), ...request };
  return {};
};

const transcoder = createTranscoder({
  services: [AuthService, UserService, ConversationService, MessageService, GroupService],
  transport: createRouterTransport(({ service }) => {
    service(AuthService, { register: keep, login: keep, logout: keep });
    service(UserService, {
      getMe: keep,
      updateMe: keep,
      listUsers: keep,
      listPresences: keep,
      getUser: (request) => {
        if (request.userId === "busy") {
          throw failure(Code.Unavailable, "BUSY", "try later", { retryAfterMs: 1500 });
        }
        if (request.userId === "broken") {
          throw new TypeError("a secret of the implementation");
        }
        return keep(request);
      },
    });
    service(ConversationService, {
      createConversation: keep,
      listConversations: keep,
      getConversation: keep,
      markRead: keep,
    });
    service(MessageService, { listMessages: keep, sendMessage: keep });
    service(GroupService, { deleteMember: keep, updateMemberRole: keep });
  }),
});

function handle(
  method: string,
  path: string,
  options: { body?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  received = undefined;
  const body = options.body === undefined ? null : new TextEncoder().encode(options.body);
  const request: RawRequest = {
    method,
    path: path.startsWith("/") ? path : `/api/v1/${path}`,
    headers: new Headers(options.headers),
    body,
  };
  return transcoder.handle(request);
}

async function fieldsOf(response: Response): Promise<string[]> {
  const { details }: { details: { field_violations?: { field: string }[] }[] } = await response.json();
  return details.flatMap(({ field_violations = [] }) => field_violations.map(({ field }) => field));
}

describe("bound", () => {
  test.each([
    ["a variable", "GET", "conversations/c1", undefined, { type: "GetConversationRequest", conversationId: "c1" }],
    ["an id with colons", "GET", "conversations/single:1:2", undefined, { conversationId: "single:1:2" }],
    ["an encoded slash in an id", "GET", "conversations/a%2Fb", undefined, { conversationId: "a/b" }],
    ["other encoded characters", "GET", "conversations/%E4%BC%9A%20x", undefined, { conversationId: "会 x" }],
    ["a literal before a variable", "GET", "users/me", undefined, { type: "GetMeRequest" }],
    ["an encoded literal", "GET", "users/m%65", undefined, { type: "GetMeRequest" }],
    [
      "two variables",
      "DELETE",
      "groups/g/members/u",
      undefined,
      { type: "DeleteMemberRequest", groupId: "g", userId: "u" },
    ],
    ["variables and a body", "PUT", "groups/g/members/u/role", '{"role":2}', { groupId: "g", userId: "u", role: 2 }],
    [
      "an additional binding",
      "POST",
      "messages",
      '{"conversation_id":"c","content":"x"}',
      { type: "SendMessageRequest", conversationId: "c" },
    ],
    ["the main binding", "POST", "conversations/c/messages", '{"content":"x"}', { conversationId: "c", content: "x" }],
    ["a query", "GET", "conversations?page_size=5&page_token=a%2Bb+c", undefined, { pageSize: 5, pageToken: "a+b c" }],
    ["a camelCase query key", "GET", "conversations?pageSize=5", undefined, { pageSize: 5 }],
    [
      "a query of a oneof",
      "GET",
      "conversations/c/messages?before_seq_id=7",
      undefined,
      { cursor: { case: "beforeSeqId", value: 7n } },
    ],
    ["a value with =", "GET", "conversations?page_token=a=b", undefined, { pageToken: "a=b" }],
    ["an empty body", "POST", "auth/login", "", { type: "LoginRequest", username: "" }],
    ["a trailing &", "GET", "conversations?page_size=5&", undefined, { pageSize: 5 }],
  ])("%s", async (_name, method, path, body, expected) => {
    const response = await handle(method, path, body === undefined ? {} : { body });
    expect(response.ok).toBe(true);
    expect(received).toMatchObject(expected);
  });

  test("HEAD follows GET, without a body", async () => {
    const response = await handle("HEAD", "users/me");
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
  });

  test("the status of success is the contract's", async () => {
    expect((await handle("POST", "auth/register", { body: "{}" })).status).toBe(201);
    expect((await handle("POST", "messages", { body: "{}" })).status).toBe(202);
    expect((await handle("POST", "auth/logout", { body: "{}" })).status).toBe(200);
  });
});

describe("refused with 400", () => {
  test.each([
    ["an unknown query key", "GET", "conversations?size=5", undefined, ["size"]],
    ["a query key of a bound path field", "GET", "conversations/c?conversation_id=d", undefined, ["conversation_id"]],
    ["a query beside a body of everything", "PUT", "conversations/c/read?seq_id=1", "{}", ["seq_id"]],
    ["a single value given twice", "GET", "conversations?page_size=1&page_size=2", undefined, ["page_size"]],
    ["two of a oneof", "GET", "conversations/c/messages?before_seq_id=1&after_seq_id=2", undefined, ["after_seq_id"]],
    ["an integer that is none", "GET", "conversations?page_size=0x10", undefined, ["page_size"]],
    ["an integer out of range", "GET", "conversations?page_size=2147483648", undefined, ["page_size"]],
    ["an empty integer", "GET", "conversations?page_size=", undefined, ["page_size"]],
    [
      "a body field that the path gives",
      "PUT",
      "conversations/c/read",
      '{"conversation_id":"d","seq_id":1}',
      ["conversation_id"],
    ],
    ["the same in camelCase", "PUT", "conversations/c/read", '{"conversationId":"d","seq_id":1}', ["conversationId"]],
    ["an unknown body field", "POST", "auth/login", '{"user":"x"}', ["user"]],
    ["a body that is no object", "POST", "auth/login", "[]", [""]],
    ["a body where the rule has none", "DELETE", "groups/g/members/u", "{}", [""]],
    ["bad percent-encoding in the path", "GET", "conversations/%zz", undefined, [""]],
    ["invalid UTF-8 in the path", "GET", "conversations/%ff", undefined, [""]],
    ["bad percent-encoding in the query", "GET", "conversations?page_token=%zz", undefined, [""]],
  ])("%s", async (_name, method, path, body, fields) => {
    const response = await handle(method, path, body === undefined ? {} : { body });
    expect(response.status).toBe(400);
    expect(await fieldsOf(response)).toEqual(fields);
    expect(received).toBeUndefined();
  });

  test.each([
    ["malformed JSON", "POST", "auth/login", "{"],
    ["a duplicate key", "POST", "auth/login", '{"username":"a","username":"b"}'],
    ["nesting over 100", "POST", "auth/login", `${'{"a":'.repeat(101)}1${"}".repeat(101)}`],
    ["a .. segment", "GET", "x/../users/me", undefined],
    ["an encoded . segment", "GET", "%2E/users/me", undefined],
  ])("%s", async (_name, method, path, body) => {
    const response = await handle(method, path, body === undefined ? {} : { body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: "invalid_argument",
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
  });
});

test("a body that is no UTF-8 is refused, also inside a text", async () => {
  const body = Uint8Array.from('{"username":"\u00e9"}', (char) => char.charCodeAt(0));
  const path = "/api/v1/auth/login";
  const response = await transcoder.handle({ method: "POST", path, headers: new Headers(), body });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ details: [{ reason: "MALFORMED_JSON" }] });
});

describe("statuses", () => {
  test.each([
    ["no route", "GET", "nowhere", {}, 404, "NO_ROUTE"],
    ["a trailing slash", "GET", "users/me/", {}, 404, "NO_ROUTE"],
    ["a doubled slash", "GET", "users//me", {}, 404, "NO_ROUTE"],
    ["outside the prefix", "GET", "/users/me", {}, 404, "NO_ROUTE"],
    ["another method", "POST", "users/me", {}, 405, "METHOD_NOT_ALLOWED"],
    ["another type asked for", "GET", "users/me", { accept: "text/html" }, 406, "NOT_ACCEPTABLE"],
    ["JSON excluded by q=0", "GET", "users/me", { accept: "text/html, application/json;q=0" }, 406, "NOT_ACCEPTABLE"],
    ["another type sent", "POST", "auth/login", { "content-type": "text/plain" }, 415, "UNSUPPORTED_MEDIA_TYPE"],
    [
      "another charset",
      "POST",
      "auth/login",
      { "content-type": "application/json; charset=latin1" },
      415,
      "UNSUPPORTED_MEDIA_TYPE",
    ],
  ] as const)("%s", async (_name, method, path, headers, status, reason) => {
    const response = await handle(method, path, { headers, body: method === "POST" ? "{}" : "" });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason }],
    });
  });

  test("405 and OPTIONS name the methods", async () => {
    expect((await handle("POST", "users/me")).headers.get("allow")).toBe("GET, PATCH, HEAD, OPTIONS");
    const options = await handle("OPTIONS", "auth/login");
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, OPTIONS"]);
  });

  test.each(["application/json", "*/*", "text/html, application/*;q=0.5", "application/problem+json"])(
    "Accept: %s",
    async (accept) => {
      expect((await handle("GET", "users/me", { headers: { accept } })).status).toBe(200);
    },
  );

  test("an error of the back end keeps its details; the wait is a header too", async () => {
    const response = await handle("GET", "users/busy", {
      headers: { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` },
    });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(await response.json()).toEqual({
      code: "unavailable",
      message: "try later",
      trace_id: "a".repeat(32),
      details: [
        { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "BUSY", domain: "im-gateway", metadata: {} },
        { "@type": "type.googleapis.com/google.rpc.RetryInfo", retry_delay: "1.500s" },
      ],
    });
  });

  test("a fault of the implementation says nothing of itself", async () => {
    const response = await handle("GET", "users/broken");
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
  });
});

test("services may be given by name", async () => {
  const byName = createTranscoder({
    registry: createRegistry(UserService),
    services: ["im.logic.v1.UserService"],
    transport: createRouterTransport(({ service }) => service(UserService, { getMe: () => ({ userId: "me" }) })),
  });
  const response = await byName.fetch(new Request("http://x/api/v1/users/me"));
  expect(await response.json()).toMatchObject({ user_id: "me", username: "" });
  expect(byName.routes.map(({ httpMethod, path }) => `${httpMethod} ${path}`)).toContain("GET /api/v1/users/{user_id}");
});

test("a service that the registry does not have does not start", () => {
  const transport = createRouterTransport(() => {});
  for (const registry of [createRegistry(UserService), undefined]) {
    const options = { services: ["im.logic.v1.Nothing"], transport };
    expect(() => createTranscoder(registry === undefined ? options : { ...options, registry })).toThrow(
      "im.logic.v1.Nothing",
    );
  }
});

test("two methods on one route do not start", () => {
  const twice = () =>
    createTranscoder({ services: [UserService, UserService], transport: createRouterTransport(() => {}) });
  expect(twice).toThrow("GET /api/v1/users/me");
});

test("whatever comes, the answer is one of the contract's, and never a 500", async () => {
  const piece = fc.oneof(
    fc.constantFrom("/", "users", "me", ":", "%", "%2F", "..", "?", "&", "=", "a", "page_size"),
    fc.string({ maxLength: 3 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"),
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join("")),
      fc.oneof(fc.json(), fc.string()),
      async (method, path, body) => {
        const response = await handle(method, `/api/v1/${path}`, { body });
        expect([200, 201, 202, 204, 400, 404, 405]).toContain(response.status);
      },
    ),
    { numRuns: 1000 },
  );
});

test("an error that is thrown while authorizing is the answer", async () => {
  const closed = createTranscoder({
    services: [UserService],
    transport: createRouterTransport(() => {}),
    authorize: async () => {
      throw new ConnectError("who are you", Code.Unauthenticated);
    },
  });
  const response = await closed.handle({ method: "GET", path: "/api/v1/users/me", headers: new Headers(), body: null });
  expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
});

test("prepare is told what was bound, by whom it is called, and what the client named", async () => {
  const seen: unknown[] = [];
  const options = {
    services: [UserService],
    transport: createRouterTransport(({ service }) => service(UserService, { getUser: keep })),
  };
  const prepared = createTranscoder({
    ...options,
    authorize: async () => undefined,
    prepare: ({ name }, request, caller, named) => {
      seen.push([name, request.$typeName, caller, [...named]]);
      throw invalidFields(
        { field: "user_id", description: "is odd" },
        { field: "caller_id", description: "is not yours" },
      );
    },
  });
  const path = "/api/v1/users/u?callerId=";
  const response = await prepared.handle({ method: "GET", path, headers: new Headers(), body: null });
  expect(seen).toEqual([["GetUser", "im.logic.v1.GetUserRequest", undefined, ["user_id", "caller_id"]]]);
  expect([response.status, await fieldsOf(response)]).toEqual([400, ["user_id", "callerId"]]);
  expect(() => createTranscoder({ ...options, prepare() {} })).toThrow("authorize");
});

test("violations that a back end finds are named as the client wrote them, too", async () => {
  const refusing = createTranscoder({
    services: [UserService],
    transport: createRouterTransport(({ service }) =>
      service(UserService, {
        updateMe: () => {
          throw invalidFields({ field: "avatar_url", description: "is no URL" });
        },
      }),
    ),
  });
  const body = new TextEncoder().encode('{"avatarUrl":"x"}');
  const path = "/api/v1/users/me";
  expect(await fieldsOf(await refusing.handle({ method: "PATCH", path, headers: new Headers(), body }))).toEqual([
    "avatarUrl",
  ]);
});
