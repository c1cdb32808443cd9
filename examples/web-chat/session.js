// Who is logged in: the tokens, in this tab only, and the client that uses them.
import { createClient, ImError } from "./sdk/index.js";

const key = "im-gateway.tokens";
const url = location.origin;

/** The session of this tab, if it has one. */
export function savedSession() {
  const saved = sessionStorage.getItem(key);
  return saved === null ? undefined : openSession(JSON.parse(saved));
}

/** @param how "login", "register" or "guest" */
export async function newSession(how, { username, password }) {
  const { auth } = createClient({ url, getToken: () => "" });
  const account = { username, password, platform: "web" };
  const tokens =
    how === "guest"
      ? await auth.guest({ nickname: username, platform: "web" })
      : await (how === "register" ? auth.register(account) : auth.login(account));
  return openSession(tokens);
}

function openSession(first) {
  let tokens = first;
  const keep = (next) => {
    tokens = next;
    sessionStorage.setItem(key, JSON.stringify(next));
  };
  keep(first);
  const im = createClient({
    url,
    async getToken({ refresh }) {
      if (refresh) {
        keep(await im.auth.refresh({ refresh_token: tokens.refresh_token }));
      }
      return tokens.access_token;
    },
  });
  return {
    im,
    user: first.user,
    async end() {
      sessionStorage.removeItem(key);
      // First, so that nothing comes any more into a page that may be somebody else's by the time of the answer.
      im.close();
      try {
        await im.auth.logout();
      } catch (error) {
        // Without the gateway the tokens end by themselves.
        if (!(error instanceof ImError)) {
          throw error;
        }
      }
    },
  };
}
