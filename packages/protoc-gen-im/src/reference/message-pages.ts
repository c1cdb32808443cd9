// The frames and the records as Markdown pages, from the AsyncAPI document.
import type { JsonObject } from "@bufbuild/protobuf";
import { object, objects, referenceName, resolved, text } from "../page/json.ts";
import { fieldTable, generatedNote, json, paragraph, table } from "./markdown.ts";

export function socketPage(document: JsonObject): string {
  const socket = object(object(document.channels).socket);
  const messages = Object.entries(object(object(document.components).messages)).map(
    ([name, message]): [string, JsonObject] => [name, object(message)],
  );
  const [client, server] = ["client", "server"].map((side) => messages.filter(([name]) => name.startsWith(`${side}.`)));
  return [
    generatedNote,
    "\n# WebSocket\n\n",
    paragraph(text(socket.description)),
    paragraph(text(object(document.info).description)),
    "Fields with \\* must be there.\n\n## Client to server\n\n",
    table(
      ["type", "answered by"],
      (client ?? []).map(([name, message]) => [
        `\`${text(message.name)}\``,
        answersOf(document, name)
          .map((type) => `\`${type}\``)
          .join(", ") || "nothing",
      ]),
    ),
    ...(client ?? []).map(([, message]) => framePart(document, message, true)),
    "## Server to client\n\n",
    ...(server ?? []).map(([, message]) => framePart(document, message, false)),
    "## Close codes\n\n4000 to 4499: connect again. 4500 to 4999: do not.\n\n",
    table(
      ["code", "meaning", "connect again"],
      objects(socket["x-close-codes"]).map(({ code, meaning, reconnect }) => [
        String(code),
        text(meaning),
        reconnect === true ? "yes" : "no",
      ]),
    ),
  ]
    .join("")
    .trimEnd()
    .concat("\n");
}

export function kafkaPage(document: JsonObject): string {
  const topics = Object.entries(object(document.channels)).filter(([name]) => name !== "socket");
  return [
    generatedNote,
    "\n# Kafka\n\nValues are JSON, as everywhere; only committed records are read. The names of topics are configured, these are the defaults.\n\n",
    ...topics.map(([, topic]) => {
      const { address, description, messages } = object(topic);
      return [
        `## ${text(address)}\n\n`,
        paragraph(text(description)),
        ...Object.values(object(messages)).map((message) => {
          const { payload, headers, examples } = resolved(document, message);
          const example = objects(examples)[0]?.payload;
          return [
            fieldTable(document, object(payload), false) ||
              `Headers:\n\n${fieldTable(document, object(headers), true)}`,
            example === undefined ? "" : json(example),
          ].join("");
        }),
      ].join("");
    }),
  ]
    .join("")
    .trimEnd()
    .concat("\n");
}

function framePart(document: JsonObject, message: JsonObject, isClient: boolean): string {
  const data = object(object(message.payload).properties).data;
  const example = object(objects(message.examples)[0]?.payload).data;
  const fields = fieldTable(document, object(data), isClient);
  return [
    `### ${text(message.name)}\n\n`,
    paragraph(text(message.description)),
    fields === "" ? "No data.\n\n" : `${fields}${json(example)}`,
  ].join("");
}

function answersOf(document: JsonObject, name: string): readonly string[] {
  const { reply } = object(object(document.operations)[name.replace("client.", "")]);
  return objects(object(reply).messages).map((answer) => referenceName(answer).replace("server.", ""));
}
