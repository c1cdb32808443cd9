import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type AuthService, type TokenPair, TokenPairSchema, type User } from "@im-gateway/proto";
import type { Accounts } from "../accounts.ts";
import {
  type Check,
  checkClientId,
  checkNickname,
  checkPassword,
  checkPresent,
  checkUsername,
  requireValid,
} from "../fields.ts";
import type { Sessions } from "../sessions.ts";
import type { SignedTokens } from "../tokens.ts";

/** What register, login and guest say about the device. */
interface Device {
  readonly deviceId: string;
  readonly platform: string;
}

export function createAuthService(accounts: Accounts, sessions: Sessions): ServiceImpl<typeof AuthService> {
  function checkDevice({ deviceId, platform }: Device): Check[] {
    return [checkClientId("device_id", deviceId, 0), checkClientId("platform", platform, 0)];
  }

  async function openSession(user: User, { deviceId, platform }: Device): Promise<TokenPair> {
    return tokenPair(user, await sessions.open(user.userId, deviceId, platform));
  }

  return {
    async register(request) {
      const { username, password, nickname } = request;
      requireValid(
        checkUsername(username),
        checkPassword(password),
        nickname === "" ? undefined : checkNickname(nickname),
        ...checkDevice(request),
      );
      return openSession(await accounts.register(username, password, nickname === "" ? username : nickname), request);
    },

    async login(request) {
      const { username, password } = request;
      requireValid(checkPresent("username", username), checkPresent("password", password), ...checkDevice(request));
      return openSession(await accounts.login(username, password), request);
    },

    async refresh({ refreshToken }) {
      requireValid(checkPresent("refresh_token", refreshToken));
      const { userId, tokens } = await sessions.refresh(refreshToken);
      return tokenPair(accounts.get(userId), tokens);
    },

    async guest(request) {
      const nickname = request.nickname === "" ? "Guest" : request.nickname;
      requireValid(checkNickname(nickname), ...checkDevice(request));
      return openSession(accounts.createGuest(nickname), request);
    },

    logout({ callerId, sessionId }) {
      sessions.end(sessionId, callerId);
      return {};
    },
  };
}

function tokenPair(user: User, { accessToken, refreshToken, expiresIn }: SignedTokens): TokenPair {
  return create(TokenPairSchema, {
    accessToken,
    refreshToken,
    tokenType: "Bearer",
    expiresIn: BigInt(expiresIn),
    user,
  });
}
