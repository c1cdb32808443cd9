// Example messages: a small world in which alice, who calls, is in a group with bob.
import { type DescField, type DescMessage, type JsonObject, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import { commentOf } from "./comment.ts";
import { isAlwaysWritten, isRequired, type Writer } from "./json-schema.ts";
import { isIdentity } from "./operations.ts";

/** By field name, or `Message.field` where a message means something else by it; undefined leaves the field out. */
const values: Readonly<Record<string, JsonValue | undefined>> = {
  access_token: "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1X2FsaWNlIn0.c2lnbmF0dXJl",
  after_seq_id: 0,
  avatar_url: "https://example.com/alice.png",
  before_seq_id: 42,
  change: "updated",
  client_msg_id: "0198c0de-7a11-7000-8000-000000000001",
  code: "unavailable",
  connection_id: "x_1",
  content: "Hello, world!",
  conversation_id: "c_team",
  count: 3,
  cursors: { c_team: 0 },
  device_id: "d_phone",
  direction: "received",
  event: "connected",
  exclude_connection_ids: [],
  expires_in: 86_400,
  from_user_id: "u_bob",
  gateway_epoch: 7,
  gateway_id: "gateway-1",
  group_id: "c_team",
  headers: { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
  heartbeat_interval_ms: 25_000,
  max_frame_bytes: 65_536,
  member_ids: ["u_bob"],
  message_id: "m_1",
  method: "im.logic.v1.GroupService/GetGroup",
  name: "Team",
  next_page_token: "",
  nickname: "Alice",
  online: true,
  owner_id: "u_alice",
  page_size: 20,
  page_token: undefined,
  password: "correct horse battery",
  peer_id: undefined,
  platform: "web",
  query: "alice",
  reason: "restart",
  reconnect_after_ms: 1000,
  reconnect_within_ms: 5000,
  refresh_token: "eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.eyJzdWIiOiJ1X2FsaWNlIn0.c2lnbmF0dXJl",
  request_id: "r_1",
  retry_after_ms: 2000,
  sender_id: "u_alice",
  status: "accepted",
  target_user_id: "u_bob",
  timeout_ms: undefined,
  to_user_id: "u_alice",
  token: "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1X2FsaWNlIn0.c2lnbmF0dXJl",
  token_type: "Bearer",
  trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
  type: "new-message",
  user_id: "u_bob",
  user_ids: ["u_bob"],
  username: "alice",

  "Authenticated.user_id": "u_alice",
  "Call.request": { group_id: "c_team" },
  "Connected.user_id": "u_alice",
  "Conversation.avatar_url": "https://example.com/team.png",
  "Conversation.type": 2,
  "CreateConversationRequest.name": undefined,
  "CreateFriendRequestRequest.message": "Shall we talk?",
  "DownstreamRecord.data": undefined,
  "DownstreamRecord.device_id": undefined,
  "DownstreamRecord.jti": undefined,
  "DownstreamRecord.sid": undefined,
  "DownstreamRecord.target_connection_ids": undefined,
  "DownstreamRecord.target_user_ids": undefined,
  "DownstreamRecord.user_id": undefined,
  "Error.client_msg_id": undefined,
  "Error.details": [],
  "Error.message": "the message could not be stored in time",
  "Error.reason": "PUBLISH_TIMEOUT",
  "FriendRequest.message": "Shall we talk?",
  "Friend.avatar_url": "https://example.com/bob.png",
  "Friend.nickname": "Bob",
  "Group.avatar_url": "https://example.com/team.png",
  "Group.type": 2,
  "KickRequest.reason": "signed out by an administrator",
  "Kicked.by_device": undefined,
  "Kicked.reason": "signed out by an administrator",
  "Member.nickname": "Bob",
  "PushFrame.data": { user_id: "u_alice", online: true, last_seen: 1_767_225_600 },
  "PushFrame.type": "online-status",
  "Reply.response": { user_id: "u_alice", username: "alice" },
  "ResyncRequired.conversation_ids": ["c_team"],
  "ResyncRequired.reason": "too much was missed",
  "SearchRequest.query": "hello",
  "UpdateConversationRequest.avatar_url": "https://example.com/team.png",
  "UpdateGroupRequest.avatar_url": "https://example.com/team.png",
  "UpstreamRecord.user_id": "u_alice",
  "User.user_id": "u_alice",
  "UserEvent.reason": "",
  "UserEvent.user_id": "u_alice",
};

const unixSeconds = 1_767_225_600;

/**
 * What a client would send, or what we answer with. Fields of a oneof: the first one.
 * @param without fields that are given elsewhere
 */
export function exampleOf(message: DescMessage, writer: Writer, without: ReadonlySet<string> = new Set()): JsonObject {
  const oneofs = new Set<unknown>();
  return Object.fromEntries(
    message.fields.flatMap((field): [string, JsonValue][] => {
      const taken = field.oneof !== undefined && oneofs.has(field.oneof);
      if (without.has(field.name) || taken || (writer === "client" && isIdentity(field))) {
        return [];
      }
      oneofs.add(field.oneof);
      const value = exampleValue(field, writer);
      return value === undefined ? [] : [[field.name, value]];
    }),
  );
}

/** Undefined where a client would rather leave the field out. */
export function exampleValue(field: DescField, writer: Writer): JsonValue | undefined {
  const qualified = `${field.parent.name}.${field.name}`;
  for (const key of [qualified, field.name]) {
    const value = values[key];
    if (key in values && (value === undefined || fits(field, value))) {
      return value ?? (writer === "us" && isAlwaysWritten(field) ? zero(field) : undefined);
    }
  }
  switch (field.fieldKind) {
    case "message":
      return field.message.typeName === "google.protobuf.Struct" ? {} : exampleOf(field.message, writer);
    case "list":
      return field.listKind === "message" && field.message.typeName !== "google.protobuf.Struct"
        ? [exampleOf(field.message, writer)]
        : [];
    case "map":
      return {};
    case "enum":
      return 1;
    case "scalar":
      return scalarExample(field, field.scalar, isRequired(field));
  }
}

function scalarExample(field: DescField, scalar: ScalarType, required: boolean): JsonValue {
  switch (scalar) {
    case ScalarType.BOOL:
      return !/^(is_|blocked|broadcast|has_)/.test(field.name);
    case ScalarType.STRING:
      return required ? field.name : "";
    case ScalarType.BYTES:
      return "";
    default:
      if (field.name === "timestamp" && /Unix milliseconds/.test(commentOf(field))) {
        return unixSeconds * 1000;
      }
      return /_at$|^timestamp$|^last_seen$|^server_time$/.test(field.name) ? unixSeconds : 1;
  }
}

function zero(field: DescField): JsonValue | undefined {
  switch (field.fieldKind) {
    case "message":
      return undefined;
    case "list":
      return [];
    case "map":
      return {};
    case "enum":
      return 0;
    case "scalar":
      return field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES
        ? ""
        : field.scalar === ScalarType.BOOL
          ? false
          : 0;
  }
}

/** One name can stand for fields of different kinds: `status` is a text in an ack and a number in a friend request. */
function fits(field: DescField, value: JsonValue): boolean {
  switch (field.fieldKind) {
    case "list":
      return Array.isArray(value);
    case "map":
      return typeof value === "object" && !Array.isArray(value);
    case "message":
      return typeof value === "object" && field.message.typeName.startsWith("google.protobuf.");
    case "enum":
      return typeof value === "number";
    case "scalar": {
      const kind =
        field.scalar === ScalarType.STRING ? "string" : field.scalar === ScalarType.BOOL ? "boolean" : "number";
      return typeof value === kind;
    }
  }
}
