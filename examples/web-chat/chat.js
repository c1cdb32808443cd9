// The page: log in, the list of conversations, one of them open.
import { createConversation } from "./conversation.js";
import { byId, createList, element, showAvatar, timeOf } from "./elements.js";
import { ImError } from "./sdk/index.js";
import { newSession, savedSession } from "./session.js";

const stateTexts = {
  idle: "not connected",
  connecting: "connecting …",
  online: "online",
  waiting: "no connection, trying again …",
  closed: "closed",
};

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const { username, password } = Object.fromEntries(new FormData(form));
  await tried(form.querySelector(".problem"), async () => {
    chat(await newSession(event.submitter?.value ?? "login", { username, password }));
    form.reset();
  });
});

const saved = savedSession();
if (saved === undefined) {
  byId("login").hidden = false;
} else {
  chat(saved);
}

function chat(session) {
  const { im, user } = session;
  const left = new AbortController();
  const listening = { signal: left.signal };
  /** By id, as the list shows them. */
  let conversations = new Map();
  /** Those that were opened. */
  const opened = new Map();
  /** Nicknames in groups. */
  const names = new Map([[user.user_id, user.nickname]]);
  let openId;

  byId("login").hidden = true;
  byId("chat").hidden = false;
  byId("my-name").textContent = user.nickname;
  byId("my-id").textContent = user.user_id;
  showAvatar(byId("my-avatar"), user.user_id, user.nickname);

  // What comes.

  im.on("state", (state) => {
    byId("state").textContent = stateTexts[state];
    byId("state").className = `state ${state}`;
    if (state === "online") {
      void refresh();
    }
  });
  im.on("new-message", (message) => {
    opened.get(message.conversation_id)?.add(message);
    arrived(message.conversation_id);
  });
  im.on("message-stored", (message) => {
    opened.get(message.conversation_id)?.stored(message);
    arrived(message.conversation_id);
  });
  im.on("message-recalled", ({ conversation_id, seq_id }) => {
    opened.get(conversation_id)?.recalled(seq_id);
    arrived(conversation_id);
  });
  im.on("message-read", ({ user_id }) => user_id === user.user_id && void listConversations());
  im.on("conversation-updated", () => void listConversations());
  im.on("error", (error) => {
    if (error.client_msg_id === undefined) {
      if (im.state === "closed") {
        leave(error.message);
      }
      return;
    }
    for (const conversation of opened.values()) {
      conversation.failed(error.client_msg_id, error);
    }
    showMessages();
  });

  /** All that may have changed while there was no connection. */
  const refresh = () =>
    tried(byId("start-problem"), async () => {
      await listConversations();
      if (openId !== undefined) {
        await opened.get(openId).load();
        showMessages();
      }
    });

  const arrived = (conversation_id) => {
    if (conversation_id === openId) {
      showMessages();
    }
    void listConversations();
  };

  // The list.

  let listing;
  let again = false;
  /** One question at a time, however fast messages come. */
  const listConversations = async () => {
    if (listing !== undefined) {
      again = true;
      return listing;
    }
    const ask = async () => {
      do {
        again = false;
        const answer = await im.conversation.listConversations({ page_size: 100 });
        conversations = new Map(answer.conversations.map((one) => [one.conversation_id, one]));
        showConversations();
      } while (again);
    };
    listing = tried(byId("start-problem"), ask);
    try {
      await listing;
    } finally {
      listing = undefined;
    }
  };

  const showConversations = () => {
    byId("no-conversations").hidden = conversations.size > 0;
    listedConversations(
      [...conversations.values()].map((one) => [
        one.conversation_id,
        { ...one, isOpen: one.conversation_id === openId },
      ]),
    );
  };

  const conversationItem = ({
    conversation_id,
    peer_id = conversation_id,
    name,
    last_message,
    unread_count,
    updated_at,
    isOpen,
  }) =>
    element(
      "li",
      {},
      element(
        "button",
        { type: "button", "aria-current": String(isOpen), onclick: () => void open(conversation_id) },
        showAvatar(element("span", { "aria-hidden": "true" }), peer_id, name),
        element(
          "span",
          { class: "grow" },
          element("span", { class: "line" }, element("span", { class: "name" }, name), timeOf(updated_at * 1000)),
          element(
            "span",
            { class: "line" },
            element("span", { class: "last" }, last_message?.content ?? "no messages yet"),
            unread_count > 0 && !isOpen
              ? element("span", { class: "unread", "aria-label": `${unread_count} unread` }, String(unread_count))
              : undefined,
          ),
        ),
      ),
    );

  byId("start").addEventListener(
    "submit",
    async (event) => {
      event.preventDefault();
      const form = event.currentTarget;
      await tried(byId("start-problem"), async () => {
        const peer = await findUser(form.elements.who.value.trim());
        const { conversation_id } = await im.conversation.createConversation({ type: 1, member_ids: [peer.user_id] });
        form.reset();
        await listConversations();
        await open(conversation_id);
      });
    },
    listening,
  );

  /** By id, else by username. */
  const findUser = async (who) => {
    try {
      return await im.user.getUser({ user_id: who });
    } catch (error) {
      if (!(error instanceof ImError) || error.code !== "not_found") {
        throw error;
      }
    }
    const found = (await usersLike(who)).find(({ username }) => username.toLowerCase() === who.toLowerCase());
    if (found === undefined) {
      throw new ImError("not_found", "", `There is nobody called ${who}.`);
    }
    return found;
  };

  /** None, where the back end has no search. */
  const usersLike = async (query) => {
    try {
      return (await im.user.listUsers({ query })).users;
    } catch (error) {
      if (error instanceof ImError && error.code === "unimplemented") {
        return [];
      }
      throw error;
    }
  };

  // The open one.

  const open = (conversation_id) =>
    tried(byId("start-problem"), async () => {
      openId = conversation_id;
      const conversation = opened.get(conversation_id) ?? createConversation(im, conversation_id);
      opened.set(conversation_id, conversation);
      const { name, type, peer_id = conversation_id } = conversations.get(conversation_id);
      byId("peer-name").textContent = name;
      showAvatar(byId("peer-avatar"), peer_id, name);
      byId("nothing-open").hidden = true;
      byId("open").hidden = false;
      byId("chat").classList.add("talking");
      showConversations();
      showMessages();
      byId("peer-name").focus();
      if (type === 2) {
        const { members } = await im.conversation.listMembers({ conversation_id });
        for (const { user_id, nickname } of members) {
          names.set(user_id, nickname);
        }
      }
      await conversation.load();
      showMessages();
    });

  const showMessages = () => {
    const conversation = opened.get(openId);
    if (conversation === undefined) {
      return;
    }
    const scroll = byId("scroll");
    const fromBottom = scroll.scrollHeight - scroll.scrollTop;
    const atBottom = fromBottom < scroll.clientHeight + 80;
    byId("earlier").hidden = !conversation.hasEarlier;
    const isGroup = conversations.get(openId)?.type === 2;
    listedMessages(
      conversation.messages().map((message) => {
        const mine = message.sender_id === user.user_id;
        const sender = isGroup && !mine ? (names.get(message.sender_id) ?? message.sender_id) : undefined;
        return [`${message.sender_id} ${message.client_msg_id || message.message_id}`, { ...message, mine, sender }];
      }),
    );
    scroll.scrollTop = atBottom ? scroll.scrollHeight : scroll.scrollHeight - fromBottom;
    void markRead(conversation);
  };

  const messageItem = (message) =>
    element(
      "li",
      { class: message.mine && "mine" },
      message.sender === undefined ? undefined : element("div", { class: "sender" }, message.sender),
      message.recalled
        ? element("div", { class: "recalled" }, "recalled")
        : element("div", { class: "content" }, message.content),
      message.status === undefined
        ? element("div", { class: "about" }, timeOf(message.timestamp))
        : element(
            "div",
            { class: "about" },
            message.status === "sending" ? "sending …" : `not sent: ${message.problem}`,
          ),
      message.status === "failed"
        ? element("button", { type: "button", onclick: () => send(message) }, "Send again")
        : undefined,
    );

  const listedConversations = createList(byId("conversations"), conversationItem);
  const listedMessages = createList(byId("messages"), messageItem);

  const markRead = async (conversation) => {
    const { read_seq_id = 0 } = conversations.get(openId) ?? {};
    const seq_id = conversation.lastSeqId;
    if (im.state === "online" && !document.hidden && seq_id > read_seq_id) {
      await tried(byId("start-problem"), () => im.markRead({ conversation_id: openId, seq_id }));
    }
  };
  document.addEventListener("visibilitychange", () => showMessages(), listening);

  /** The same client_msg_id again is stored once. */
  const send = ({ conversation_id, content, client_msg_id }) =>
    opened
      .get(conversation_id)
      .send({ conversation_id, content, client_msg_id, message_type: 1, sender_id: user.user_id }, showMessages);

  byId("compose").addEventListener(
    "submit",
    (event) => {
      event.preventDefault();
      const { content } = event.currentTarget.elements;
      if (content.value.trim() !== "") {
        void send({ conversation_id: openId, content: content.value, client_msg_id: randomId() });
        byId("scroll").scrollTop = byId("scroll").scrollHeight;
        content.value = "";
      }
      content.focus();
    },
    listening,
  );
  byId("compose").addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        event.currentTarget.requestSubmit();
      }
    },
    listening,
  );
  byId("earlier").addEventListener(
    "click",
    () =>
      tried(byId("start-problem"), async () => {
        await opened.get(openId).loadEarlier();
        showMessages();
      }),
    listening,
  );
  byId("back").addEventListener("click", () => close(), listening);
  byId("logout").addEventListener("click", () => leave(""), listening);

  const close = () => {
    openId = undefined;
    byId("chat").classList.remove("talking");
    byId("open").hidden = true;
    byId("nothing-open").hidden = false;
    showConversations();
  };

  const leave = (why) => {
    left.abort();
    close();
    void session.end();
    byId("chat").hidden = true;
    byId("login").hidden = false;
    byId("conversations").replaceChildren();
    byId("messages").replaceChildren();
    byId("compose").reset();
    byId("start").reset();
    byId("login").querySelector(".problem").textContent = why;
  };

  void tried(byId("start-problem"), () => im.connect());
}

/** Shows what an action failed with. */
async function tried(problem, action) {
  problem.textContent = "";
  try {
    await action();
  } catch (error) {
    if (!(error instanceof ImError)) {
      throw error;
    }
    problem.textContent = error.code === "canceled" ? "" : error.message;
  }
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("");
}
