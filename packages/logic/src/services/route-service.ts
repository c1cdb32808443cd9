import type { ServiceImpl } from "@connectrpc/connect";
import { type FieldViolation, maxViolations } from "@im-gateway/core";
import type { RouteService } from "@im-gateway/proto";
import { checkPresent, requireValid, violation } from "../fields.ts";
import type { Resume } from "../resume.ts";

const maxPerConversation = 200;
const maxMessages = 1000;

/** For gateways: they vouch for the user, so there is no caller. */
export function createRouteService(resume: Resume, now: () => number): ServiceImpl<typeof RouteService> {
  return {
    resume(request) {
      const { userId, gatewayId, connectionId, cursors, keptThrough } = request;
      requireValid(
        checkPresent("user_id", userId),
        checkPresent("gateway_id", gatewayId),
        checkPresent("connection_id", connectionId),
        ...negative("cursors", cursors),
        ...negative("kept_through", keptThrough),
        request.maxPerConversation < 0 ? violation("max_per_conversation", "must not be negative") : undefined,
        request.maxMessages < 0 ? violation("max_messages", "must not be negative") : undefined,
      );
      const gatewayEpoch = Number(request.gatewayEpoch);
      const event = { userId, gatewayId, gatewayEpoch, connectionId, seq: Number(request.seq), atMs: now() };
      return resume.resume({
        event,
        cursors,
        keptThrough,
        perConversation: Math.min(request.maxPerConversation || maxPerConversation, maxPerConversation),
        inAll: Math.min(request.maxMessages || maxMessages, maxMessages),
      });
    },
  };
}

function negative(field: string, cursors: Readonly<Record<string, bigint>>): FieldViolation[] {
  return Object.entries(cursors)
    .filter(([, seqId]) => seqId < 0n)
    .slice(0, maxViolations)
    .map(([conversationId]) => violation(`${field}.${conversationId}`, "must not be negative"));
}
