// The generated contract under one name.

export {
  type FieldRules,
  FieldRulesSchema,
  field as fieldRules,
} from "./gen/buf/validate/validate_pb.ts";
export { http } from "./gen/google/api/annotations_pb.ts";
export { FieldBehavior, field_behavior } from "./gen/google/api/field_behavior_pb.ts";
export { type HttpRule, HttpRuleSchema } from "./gen/google/api/http_pb.ts";
export { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.ts";
export { type Status, StatusSchema } from "./gen/google/rpc/status_pb.ts";
export * from "./gen/im/gateway/v1/frame_pb.ts";
export * from "./gen/im/gateway/v1/message_type_pb.ts";
export * from "./gen/im/gateway/v1/push_pb.ts";
export * from "./gen/im/gateway/v1/record_pb.ts";
export * from "./gen/im/logic/v1/auth_pb.ts";
export * from "./gen/im/logic/v1/conversation_pb.ts";
export * from "./gen/im/logic/v1/friend_pb.ts";
export * from "./gen/im/logic/v1/group_pb.ts";
export * from "./gen/im/logic/v1/message_pb.ts";
export * from "./gen/im/logic/v1/user_pb.ts";
export * as options from "./gen/im/options/v1/options_pb.ts";
export * from "./gen/im/route/v1/route_pb.ts";
