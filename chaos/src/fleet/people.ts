// People and groups by the thousand, asked of im-logic itself: guests need no password hash, and no gateway's limit is in the way.
import { createHmac, randomUUID } from "node:crypto";
import { connect } from "node:http2";

export interface People {
  /** User ids. */
  readonly userIds: readonly string[];
  /** Conversations, each with the indexes of its members in `userIds`. */
  readonly groups: readonly { readonly conversationId: string; readonly members: readonly number[] }[];
}

const atOnce = 50;

/**
 * @param grpcAddr host:port of im-logic
 * @param groups indexes of the users in each; the first one owns it
 */
export async function createPeople(
  grpcAddr: string,
  users: number,
  groups: readonly (readonly number[])[],
): Promise<People> {
  const session = connect(`http://${grpcAddr}`);
  session.on("error", () => session.destroy());
  // The Connect protocol: a unary call is a POST of JSON.
  const call = (method: string, request: unknown): Promise<Readonly<Record<string, unknown>>> =>
    new Promise((resolve, reject) => {
      const stream = session.request({
        ":method": "POST",
        ":path": `/im.logic.v1.${method}`,
        "content-type": "application/json",
        "connect-protocol-version": "1",
      });
      let status = 0;
      let body = "";
      stream.on("response", (headers) => {
        status = Number(headers[":status"]);
      });
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        body += text;
      });
      stream.on("error", reject);
      stream.on("end", () => {
        if (status === 200) resolve(JSON.parse(body) as Readonly<Record<string, unknown>>);
        else reject(new Error(`${method} answered ${status} ${body}`));
      });
      stream.end(JSON.stringify(request));
    });
  try {
    const userIds = await some(users, async (index) => {
      const { user } = await call("AuthService/Guest", { nickname: `client ${index}` });
      return (user as { userId: string }).userId;
    });
    const created = await some(groups.length, async (index) => {
      const members = groups[index] ?? [];
      const [callerId, ...memberIds] = members.map((member) => userIds[member] ?? "");
      const { conversationId } = await call("GroupService/CreateGroup", {
        callerId,
        name: `group ${index}`,
        memberIds,
      });
      return { conversationId: String(conversationId), members };
    });
    return { userIds, groups: created };
  } finally {
    session.close();
  }
}

/** An access token as im-logic would sign it (CONTRACT §2). @param expiresMs Unix milliseconds; default in a day */
export function accessToken(
  secret: string,
  userId: string,
  { deviceId = randomUUID(), expiresMs = Date.now() + 86_400_000 }: { deviceId?: string; expiresMs?: number } = {},
): string {
  const signed = [
    { alg: "HS256", typ: "at+jwt" },
    { sub: userId, sid: randomUUID(), did: deviceId, jti: randomUUID(), exp: Math.floor(expiresMs / 1000) },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

async function some<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let first = 0; first < count; first += atOnce) {
    const size = Math.min(atOnce, count - first);
    made.push(...(await Promise.all(Array.from({ length: size }, (_, index) => make(first + index)))));
  }
  return made;
}
