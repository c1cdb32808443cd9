// One conversation's messages as this page has them: by seq_id, so that what comes twice is there once, and what is on its way.

const pageSize = 50;

export function createConversation(im, conversation_id) {
  const stored = new Map();
  const sending = new Map();
  let hasEarlier = false;

  const add = (message) => {
    stored.set(message.seq_id, message);
    // Everybody can see a client_msg_id, and use it for a message of their own.
    if (sending.get(message.client_msg_id)?.sender_id === message.sender_id) {
      sending.delete(message.client_msg_id);
    }
  };

  return {
    /** In their order, those on their way last. */
    messages() {
      return [...stored.values()].sort((one, other) => one.seq_id - other.seq_id).concat([...sending.values()]);
    },
    get hasEarlier() {
      return hasEarlier;
    },
    get lastSeqId() {
      return Math.max(0, ...stored.keys());
    },
    /** The newest page. */
    async load() {
      const { messages, has_more } = await im.message.listMessages({ conversation_id, page_size: pageSize });
      // After a long absence there may be a gap below it: start anew.
      if (messages.length > 0 && !stored.has(messages[0].seq_id)) {
        stored.clear();
        hasEarlier = has_more;
      }
      messages.map(inMilliseconds).forEach(add);
    },
    async loadEarlier() {
      const before_seq_id = Math.min(...stored.keys());
      const page = await im.message.listMessages({ conversation_id, before_seq_id, page_size: pageSize });
      page.messages.map(inMilliseconds).forEach(add);
      hasEarlier = page.has_more;
    },
    /** A frame's, so its time is in milliseconds. */
    add,
    /** @param changed called at once, and when it is known what became of it */
    async send(message, changed) {
      sending.set(message.client_msg_id, { ...message, status: "sending" });
      changed();
      try {
        await im.sendMessage(message);
      } catch (error) {
        this.failed(message.client_msg_id, error);
        changed();
      }
    },
    failed(client_msg_id, error) {
      const message = sending.get(client_msg_id);
      if (message !== undefined) {
        sending.set(client_msg_id, { ...message, status: "failed", problem: error.message });
      }
    },
    stored({ client_msg_id, message_id, seq_id, timestamp }) {
      const message = sending.get(client_msg_id);
      if (message !== undefined) {
        const { status: _, ...kept } = message;
        add({ ...kept, message_id, seq_id, timestamp });
      }
    },
    recalled(seq_id) {
      const message = stored.get(seq_id);
      if (message !== undefined) {
        stored.set(seq_id, { ...message, recalled: true });
      }
    },
  };
}

function inMilliseconds(message) {
  return { ...message, timestamp: message.timestamp * 1000 };
}
