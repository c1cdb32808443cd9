// A contract that no gateway would start with is not generated from: the error names file, method and rule.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const repository = join(import.meta.dirname, "../../..");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "im-gateway-contract-"));
  await cp(join(repository, "proto"), join(folder, "proto"), {
    recursive: true,
    filter: (source) => !/\/(?:node_modules|dist|src)$/.test(source),
  });
});
afterEach(() => rm(folder, { recursive: true }));

async function generate(): Promise<string> {
  const template = {
    version: "v2",
    plugins: [
      {
        local: [process.execPath, "--conditions=@im-gateway/source", join(import.meta.dirname, "cli.ts")],
        out: join(folder, "out"),
        strategy: "all",
        opt: ["target=sdk"],
      },
    ],
  };
  try {
    const args = ["generate", "proto", "--template", JSON.stringify(template)];
    await promisify(execFile)(join(repository, "node_modules/.bin/buf"), args, { cwd: folder });
    return "generated";
  } catch (error) {
    return error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  }
}

test("the contract as it is is generated from", async () => {
  expect(await generate()).toBe("generated");
});

const user = "im/logic/v1/user.proto";

test.each<[string, string, string | RegExp, string, string]>([
  ["a method without auth", user, "auth: AUTH_USER", "", `${user}: im.logic.v1.UserService/GetMe: has no option`],
  ["a method for back ends", user, "AUTH_USER", "AUTH_SERVICE", "UserService/GetMe: auth SERVICE and target GATEWAY"],
  [
    "a template that goes on after **",
    user,
    "/api/v1/users/{user_id}",
    "/api/v1/users/{user_id=**}/x",
    `${user}: im.logic.v1.UserService.GetUser: GET /api/v1/users/{user_id=**}/x: `,
  ],
  ["a path variable that is no field", user, "{user_id}", "{name}", "has no field name"],
  ["two methods on one path", user, "/api/v1/presence", "/api/v1/users/me", "GET /api/v1/users/me"],
  [
    "a service that nothing would be generated of",
    "im/gateway/v1/push.proto",
    "package im.gateway.v1;",
    "package acme.v1;",
    `im/gateway/v1/push.proto: acme.v1.PushService: services for clients are of package im.logic.v1`,
  ],
  [
    "a frame that calls no method",
    "im/gateway/v1/frame.proto",
    "ConversationService/MarkRead",
    "ConversationService/Forget",
    "ClientFrame.mark_read: im.logic.v1.ConversationService/Forget is no method",
  ],
  [
    "a frame whose method does not take what it brings",
    "im/gateway/v1/frame.proto",
    "ConversationService/MarkRead",
    "ConversationService/GetUnread",
    "ClientFrame.mark_read: im.logic.v1.ConversationService/GetUnread takes no seq_id",
  ],
])("%s", async (_name, file, text, instead, message) => {
  const path = join(folder, "proto", file);
  const before = await readFile(path, "utf8");
  const edited = before.replace(text, instead);
  expect(edited).not.toBe(before);
  await writeFile(path, edited);
  expect(await generate()).toContain(message);
});
