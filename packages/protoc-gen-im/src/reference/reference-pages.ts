// Target `reference`: the protocol for people, as Markdown.
import type { FileRegistry } from "@bufbuild/protobuf";
import { asyncapi } from "../asyncapi/document.ts";
import { internalOpenapi, publicOpenapi } from "../openapi/document.ts";
import { generatedNote } from "./markdown.ts";
import { kafkaPage, socketPage } from "./message-pages.ts";
import { restPage } from "./rest-page.ts";

export function referencePages(contract: FileRegistry): ReadonlyMap<string, string> {
  const messages = asyncapi(contract);
  return new Map([
    ["README.md", overview],
    ["rest.md", restPage("REST", publicOpenapi(contract))],
    ["internal.md", restPage("The internal port", internalOpenapi(contract))],
    ["websocket.md", socketPage(messages)],
    ["kafka.md", kafkaPage(messages)],
  ]);
}

const overview = `${generatedNote}
# The protocol

| page | what | for programs |
|---|---|---|
| [rest.md](rest.md) | the routes for clients | \`GET /openapi.json\` |
| [websocket.md](websocket.md) | the frames, and why a socket closes | \`GET /asyncapi.json\` |
| [kafka.md](kafka.md) | the topics and their records | \`GET /asyncapi.json\` |
| [internal.md](internal.md) | the door for back ends | \`internalOpenapi\` of \`@im-gateway/proto/documents\` |

A running gateway has all of it to read at \`/docs\` ([picture](../pictures/docs-page.png)).
`;
