// What a newcomer can do with the embedded default, ready to be copied.
import { existsSync } from "node:fs";

/**
 * @param base the gateway's URL, without a slash at its end
 * @param hasPage whether the chat page is served
 */
export function tryNext(
  base: string,
  accounts: readonly { readonly username: string; readonly password: string }[],
  wsPath: string,
  dataDir: string | undefined,
  hasPage: boolean,
): string {
  const [first] = accounts;
  const credentials = JSON.stringify({ username: first?.username, password: first?.password });
  const login = `curl -s ${base}/api/v1/auth/login -H 'content-type: application/json' -d '${credentials}'`;
  // The repository's own Node has a WebSocket client; the machine's may be too old for one.
  const node = existsSync("node_modules/.bin/node") ? "node_modules/.bin/node" : "node";
  const webSocket = `${base.replace(/^http/, "ws")}${wsPath}`;
  return [
    "",
    `im-gateway is ready on ${base}: everything in one process, ${dataDir === undefined ? "nothing is kept after it ends" : `its data in ${dataDir}`}.`,
    "",
    ...(hasPage ? [`  chat       ${base}/`] : []),
    `  accounts   ${accounts.map(({ username, password }) => `${username} / ${password}`).join("   ")}`,
    `  the API    ${base}/docs`,
    `  health     ${base}/health   ${base}/ready`,
    "",
    "Log in:",
    "",
    `  ${login}`,
    "",
    "Open a WebSocket, see what comes, and send a line of JSON as a frame:",
    "",
    `  TOKEN=$(${login} | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')`,
    `  ${node} -e 'const s = new WebSocket("${webSocket}?token=" + process.argv[1]); s.onmessage = (m) => console.log(m.data); s.onclose = ({ code, reason }) => { console.log("closed", code, reason); process.exit(); }; process.stdin.on("data", (line) => s.send(String(line)))' "$TOKEN"`,
    `  {"type":"ping","message_id":"1"}`,
    "",
    "The whole first conversation: README.md. Ctrl-C ends it.",
    "",
  ].join("\n");
}
