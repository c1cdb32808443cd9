// A session is one login on one device: a family of refresh tokens of which only the newest works.
import { randomUUID } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { failure } from "@im-gateway/core";
import type { Revocations } from "./revocations.ts";
import { integer, type Row, text } from "./row.ts";
import type { Store } from "./store.ts";
import type { SignedTokens, TokenSubject, Tokens } from "./tokens.ts";

export interface Sessions {
  /** @param deviceId "" makes a new device */
  open(userId: string, deviceId: string, platform: string): Promise<SignedTokens>;
  /**
   * Trades a refresh token for a new pair; session and device stay. A token that was used before ends the session, since one of its two
   * holders is a thief (RFC 9700 §4.14.2).
   * Rejects with unauthenticated INVALID_REFRESH_TOKEN or REFRESH_TOKEN_REUSED.
   */
  refresh(refreshToken: string): Promise<{ readonly userId: string; readonly tokens: SignedTokens }>;
  /** Ends a session of this user, if there is one, and with it its access tokens. */
  end(sessionId: string, userId: string): void;
}

/** @param revoke called with each session that ends before its time, within the transaction that ends it */
export function createSessions(
  store: Store,
  tokens: Tokens,
  revoke: Revocations["revoke"],
  now: () => number,
): Sessions {
  const insert = store.prepare(
    `INSERT INTO sessions (session_id, user_id, device_id, platform, refresh_jti, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?)`,
  );
  const find = store.prepare("SELECT * FROM sessions WHERE session_id = ?");
  const rotate = store.prepare("UPDATE sessions SET refresh_jti = ?, expires_at_ms = ? WHERE session_id = ?");
  const remove = store.prepare("DELETE FROM sessions WHERE session_id = ?");
  const removeOwn = store.prepare("DELETE FROM sessions WHERE session_id = ? AND user_id = ?");
  const removeExpired = store.prepare("DELETE FROM sessions WHERE expires_at_ms <= ?");

  removeExpired.run(now());

  return {
    open(userId, deviceId, platform) {
      const subject = {
        userId,
        sessionId: randomUUID(),
        deviceId: deviceId === "" ? randomUUID() : deviceId,
        platform,
      };
      const jti = randomUUID();
      store.transaction(() => {
        removeExpired.run(now());
        const expiresAtMs = now() + tokens.refreshTokenTtlMs;
        insert.run(subject.sessionId, userId, subject.deviceId, platform, jti, expiresAtMs);
      });
      return tokens.sign(subject, jti);
    },

    async refresh(refreshToken) {
      const claims = await tokens.readRefresh(refreshToken);
      const jti = randomUUID();
      const subject = store.transaction(() => {
        removeExpired.run(now());
        const row = find.get(claims.sessionId);
        const session = row && toSession(row);
        if (session?.refreshJti === claims.jti) {
          rotate.run(jti, now() + tokens.refreshTokenTtlMs, claims.sessionId);
        } else if (session !== undefined) {
          remove.run(claims.sessionId);
          revoke(session);
        }
        return session;
      });
      if (subject === undefined) {
        throw failure(Code.Unauthenticated, "INVALID_REFRESH_TOKEN", "the session has ended");
      }
      if (subject.refreshJti !== claims.jti) {
        throw failure(Code.Unauthenticated, "REFRESH_TOKEN_REUSED", "the refresh token was used before; log in again");
      }
      return { userId: subject.userId, tokens: await tokens.sign(subject, jti) };
    },

    end(sessionId, userId) {
      store.transaction(() => {
        if (removeOwn.run(sessionId, userId).changes > 0) {
          revoke({ sessionId, userId });
        }
      });
    },
  };
}

interface Session extends TokenSubject {
  readonly refreshJti: string;
  readonly expiresAtMs: number;
}

function toSession(row: Row): Session {
  return {
    sessionId: text(row, "session_id"),
    userId: text(row, "user_id"),
    deviceId: text(row, "device_id"),
    platform: text(row, "platform"),
    refreshJti: text(row, "refresh_jti"),
    expiresAtMs: integer(row, "expires_at_ms"),
  };
}
