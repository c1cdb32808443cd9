// Each kind of break on a copy of the .proto files: buf breaking or our own diff has to find it, and neither minds an addition.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "../../../..");
const env = { ...process.env, PATH: `${join(root, "node_modules/.bin")}${delimiter}${process.env.PATH}` };
let copy = "";

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "im-gateway-contract-"));
});
afterAll(() => rmSync(copy, { recursive: true }));

interface Verdict {
  readonly status: number | null;
  readonly said: string;
}

/** What both checks say of a copy in which `from` became `to`; the image is of the copy before, whatever the committed one has. */
function check(file: string, from: string, to: string): { readonly buf: Verdict; readonly ours: Verdict } {
  for (const part of ["im", "google", "buf", "buf.yaml"]) {
    cpSync(join(root, "proto", part), join(copy, part), { recursive: true });
  }
  const run = (command: string, ...args: readonly string[]): Verdict => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: copy, env, encoding: "utf8" });
    return { status, said: stdout + stderr };
  };
  expect(run("buf", "build", ".", "--output", "contract.binpb")).toEqual({ status: 0, said: "" });
  const path = join(copy, file);
  const before = readFileSync(path, "utf8");
  expect(before).toContain(from);
  writeFileSync(path, before.replace(from, to));
  return {
    buf: run("buf", "breaking", ".", "--against", "contract.binpb"),
    ours: run(
      process.execPath,
      "--conditions=@im-gateway/source",
      join(import.meta.dirname, "check-contract.ts"),
      copy,
    ),
  };
}

const [auth, group, frame, record, push] = [
  "im/logic/v1/auth.proto",
  "im/logic/v1/group.proto",
  "im/gateway/v1/frame.proto",
  "im/gateway/v1/record.proto",
  "im/gateway/v1/push.proto",
];

test.each<[what: string, file: string, from: string, to: string, said: string]>([
  [
    "a field renumbered",
    auth,
    "string refresh_token = 1 [",
    "string refresh_token = 9 [",
    'field "1" with name "refresh_token"',
  ],
  [
    "a field renamed",
    group,
    "string owner_id = 5;",
    "string boss_id = 5;",
    'changed name from "owner_id" to "boss_id"',
  ],
  ["a field's type changed", group, "int32 member_count = 6;", "string member_count = 6;", "changed type"],
])("buf breaking finds %s", (_what, file, from, to, said) => {
  const { buf } = check(file, from, to);
  expect(buf).toEqual({ status: 100, said: expect.stringContaining(said) });
  expect(buf.said).toContain(`${file}:`);
});

test.each<[what: string, file: string, from: string, to: string, said: string]>([
  [
    "a route's path changed",
    auth,
    'post: "/api/v1/auth/login"',
    'post: "/api/v1/login"',
    'im.logic.v1.AuthService/Login route POST /api/v1/auth/login was body "*", response_body "", is gone; its routes are POST /api/v1/login',
  ],
  [
    "a route's verb changed",
    group,
    'patch: "/api/v1/groups/{group_id}"',
    'put: "/api/v1/groups/{group_id}"',
    'im.logic.v1.GroupService/UpdateGroup route PATCH /api/v1/groups/{group_id} was body "*", response_body "", is gone; its routes are PUT /api/v1/groups/{group_id}',
  ],
  [
    "a route's body changed",
    group,
    'post: "/api/v1/groups/{group_id}/members"\n      body: "*"',
    'post: "/api/v1/groups/{group_id}/members"\n      body: "user_ids"',
    'im.logic.v1.GroupService/CreateMembers route POST /api/v1/groups/{group_id}/members was body "*", response_body "", is body "user_ids", response_body ""',
  ],
  [
    "a second route removed",
    "im/logic/v1/message.proto",
    'additional_bindings: {\n        post: "/api/v1/messages"\n        body: "*"\n      }',
    "",
    "im.logic.v1.MessageService/SendMessage route POST /api/v1/messages was",
  ],
  [
    "a method removed",
    "im/logic/v1/user.proto",
    'rpc GetMe(GetMeRequest) returns (User) {\n    option (google.api.http) = {get: "/api/v1/users/me"};\n    option (im.options.v1.method) = {\n      auth: AUTH_USER\n      idempotent: true\n    };\n  }',
    "",
    "im.logic.v1.UserService/GetMe method was unary, is gone",
  ],
  [
    "auth loosened",
    group,
    "option (im.options.v1.method) = {auth: AUTH_USER};",
    "option (im.options.v1.method) = {auth: AUTH_PUBLIC};",
    "im.logic.v1.GroupService/TransferGroup auth was user, is public",
  ],
  [
    "the target changed",
    "im/logic/v1/message.proto",
    "target: TARGET_UPSTREAM",
    "target: TARGET_LOGIC",
    "im.logic.v1.MessageService/SendMessage target was upstream, is logic",
  ],
  [
    "the status of success changed",
    auth,
    "success_status: 201",
    "success_status: 200",
    "im.logic.v1.AuthService/Register success_status was 201, is 200",
  ],
  [
    "an idempotent method that no longer is",
    auth,
    "idempotent: true",
    "idempotent: false",
    "im.logic.v1.AuthService/Logout idempotent was true, is false",
  ],
  [
    "identity dropped",
    group,
    "message GetGroupRequest {\n  string caller_id = 1 [(im.options.v1.identity) = IDENTITY_USER_ID];",
    "message GetGroupRequest {\n  string caller_id = 1;",
    "im.logic.v1.GetGroupRequest.caller_id identity was user_id, is unspecified",
  ],
  [
    "identity put on a field that clients set",
    group,
    "message JoinGroupRequest {\n  string caller_id = 1 [(im.options.v1.identity) = IDENTITY_USER_ID];\n  string group_id = 2 [",
    "message JoinGroupRequest {\n  string caller_id = 1 [(im.options.v1.identity) = IDENTITY_USER_ID];\n  string group_id = 2 [(im.options.v1.identity) = IDENTITY_SESSION_ID, ",
    "im.logic.v1.JoinGroupRequest.group_id identity was unspecified, is session_id",
  ],
  [
    "a frame renamed",
    frame,
    "MessageAck message_ack = 13;",
    "MessageAck message_acked = 13;",
    "server frame message-ack was im.gateway.v1.MessageAck, is gone",
  ],
  [
    "the method of a frame changed",
    frame,
    '"im.logic.v1.ConversationService/MarkRead"',
    '"im.logic.v1.ConversationService/GetUnread"',
    "client frame mark-read frame_method was im.logic.v1.ConversationService/MarkRead, is im.logic.v1.ConversationService/GetUnread",
  ],
  [
    "a topic renamed",
    record,
    'topic: "upstream"',
    'topic: "up"',
    "im.gateway.v1.UpstreamRecord topic was upstream, key conversation_id, is up, key conversation_id",
  ],
  [
    "another class of rate",
    auth,
    "rate_class: RATE_CLASS_LOGIN",
    "rate_class: RATE_CLASS_READ",
    "im.logic.v1.AuthService/Register rate_class was login, is read",
  ],
  [
    "a field that became required",
    push,
    "string device_id = 2;",
    "string device_id = 2 [(google.api.field_behavior) = REQUIRED];",
    "im.gateway.v1.KickRequest.device_id required was false, is true",
  ],
  [
    "a required field in a message that was there",
    push,
    "string device_id = 2;",
    "string device_id = 2;\n  string why = 9 [(google.api.field_behavior) = REQUIRED];",
    "im.gateway.v1.KickRequest.why required is true of a field that was not there",
  ],
  [
    "a rule that lets less pass",
    push,
    "max_len = 128",
    "max_len = 12",
    'im.gateway.v1.KickRequest.reason rules was {"string":{"maxLen":"128"}}, is {"string":{"maxLen":"12"}}',
  ],
  [
    "a rule where there was none",
    push,
    "string device_id = 2;",
    "string device_id = 2 [(buf.validate.field).string.max_len = 8];",
    'im.gateway.v1.KickRequest.device_id rules was none, is {"string":{"maxLen":"8"}}',
  ],
  [
    "a zero that is no longer written",
    group,
    "string owner_id = 5;",
    "optional string owner_id = 5;",
    "im.logic.v1.Group.owner_id presence was implicit, is explicit",
  ],
  [
    "another key of a topic",
    record,
    'topic: "user-events"\n    key: "user_id"',
    'topic: "user-events"\n    key: "device_id"',
    "im.gateway.v1.UserEvent topic was user-events, key user_id, is user-events, key device_id",
  ],
])("our own diff finds %s", (_what, file, from, to, said) => {
  const { ours } = check(file, from, to);
  expect(ours.said).toContain(`${file}: ${said}`);
  expect(ours.status).toBe(1);
});

test.each<[what: string, file: string, from: string, to: string]>([
  ["nothing", auth, "service AuthService {", "service AuthService {"],
  [
    "a method",
    auth,
    "service AuthService {",
    'message LookRequest {}\nmessage LookResponse {}\nservice AuthService {\n  rpc Look(LookRequest) returns (LookResponse) {\n    option (google.api.http) = {get: "/api/v1/auth"};\n    option (im.options.v1.method) = {auth: AUTH_USER};\n  }',
  ],
  ["a field", group, "string owner_id = 5;", "string owner_id = 5;\n  string motto = 99;"],
  ["a rule that is gone", push, " [(buf.validate.field).string.max_len = 128]", ""],
  [
    "a field that may be left out",
    push,
    "string user_id = 1 [(google.api.field_behavior) = REQUIRED];",
    "string user_id = 1;",
  ],
  ["a frame", frame, "Ping ping = 16;", "Ping ping = 16;\n    Ack wave = 17;"],
  [
    "a second route",
    group,
    'get: "/api/v1/groups/{group_id}"',
    'get: "/api/v1/groups/{group_id}"\n additional_bindings: {get: "/api/v1/g/{group_id}"}\n',
  ],
])("neither minds more: %s", (_what, file, from, to) => {
  expect(check(file, from, to)).toEqual({ buf: { status: 0, said: "" }, ours: { status: 0, said: "" } });
});
