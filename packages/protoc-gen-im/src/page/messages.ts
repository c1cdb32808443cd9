// The frames and records of an AsyncAPI document, each a section.
import type { JsonObject } from "@bufbuild/protobuf";
import { codeBlock, escapeHtml, inline, jsonHtml, paragraphs, table } from "./html.ts";
import { object, objects, referenceName, resolved, text } from "./json.ts";
import { fieldTable } from "./schema.ts";
import type { Chapter, Section } from "./sections.ts";

/** Of the WebSocket. */
export function frameChapters(document: JsonObject): readonly Chapter[] {
  const { socket } = object(document.channels);
  const messages = Object.entries(object(object(document.components).messages));
  const frames = (side: string): readonly Section[] =>
    messages
      .filter(([name]) => name.startsWith(`${side}.`))
      .map(([name, message]) => frameSection(document, name, object(message)));
  const codes = objects(object(socket)["x-close-codes"]).map(({ code, meaning, reconnect }) => [
    `<code>${String(code)}</code>`,
    inline(text(meaning)),
    reconnect === true ? "yes" : "no",
  ]);
  return [
    { title: "Client to server", intro: "", sections: frames("client") },
    { title: "Server to client", intro: "", sections: frames("server") },
    {
      title: "Close codes",
      intro: "<p>4000 to 4499: connect again. 4500 to 4999: do not.</p>",
      sections: [
        {
          id: "close-codes",
          title: "Why a socket closes",
          badge: "",
          subtitle: "",
          words: codes.flat().join(" "),
          prose: table(["Code", "Meaning", "Connect again"], codes),
          code: "",
        },
      ],
    },
  ];
}

export function topicChapters(document: JsonObject): readonly Chapter[] {
  const { socket: _socket, ...topics } = object(document.channels);
  const sections = Object.entries(topics).map(([name, topic]) => topicSection(document, name, object(topic)));
  return [{ title: "Topics", intro: "", sections }];
}

function frameSection(document: JsonObject, name: string, message: JsonObject): Section {
  const data = object(object(message.payload).properties).data;
  const [side = "", type = ""] = name.split(".");
  const answers = objects(object(object(object(document.operations)[type]).reply).messages).map((answer) =>
    referenceName(answer).replace("server.", ""),
  );
  // The comment names those that answer.
  const linked = answers.reduce(
    (said, answer) =>
      said.replace(
        new RegExp(`(?<![\\w/">-])${answer}(?![\\w-])`),
        `<a href="#${frameId("server", answer)}"><code>${escapeHtml(answer)}</code></a>`,
      ),
    paragraphs(text(message.description)),
  );
  return {
    id: frameId(side, type),
    title: type,
    badge: side === "client" ? "up" : "down",
    subtitle: "",
    words: text(message.description),
    prose: [linked, fieldTable(document, object(data), side === "client") || "<p>No data.</p>"].join(""),
    code: examples(message),
  };
}

function topicSection(document: JsonObject, name: string, topic: JsonObject): Section {
  const messages = Object.values(object(topic.messages)).map((message) => resolved(document, message));
  return {
    id: `topic-${name}`,
    title: text(topic.address),
    badge: "topic",
    subtitle: "",
    words: messages.map((message) => text(message.name)).join(" "),
    prose: [
      paragraphs(text(topic.description)),
      ...messages.map(
        (message) =>
          fieldTable(document, object(message.payload), false) || fieldTable(document, object(message.headers), true),
      ),
    ].join(""),
    code: messages.map(examples).join(""),
  };
}

function frameId(side: string, type: string): string {
  return `${side}-frame-${type}`;
}

function examples(message: JsonObject): string {
  return objects(message.examples)
    .map(({ payload }) => (payload === undefined ? "" : codeBlock("Example", jsonHtml(payload))))
    .join("");
}
