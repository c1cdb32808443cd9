// The page of both documents, whole in one file: it loads nothing.
import { createHash } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { escapeHtml, paragraphs } from "./html.ts";
import { object, text } from "./json.ts";
import { frameChapters, topicChapters } from "./messages.ts";
import { restChapters } from "./rest.ts";
import { script } from "./script.ts";
import type { Chapter, Section } from "./sections.ts";
import { style } from "./style.ts";

interface Part {
  readonly id: string;
  readonly title: string;
  /** What is behind it, in a line. */
  readonly door: string;
  readonly intro: string;
  readonly chapters: readonly Chapter[];
}

export interface DocumentationPage {
  readonly html: string;
  readonly contentSecurityPolicy: string;
}

export function documentationPage(openapi: JsonObject, asyncapi: JsonObject): DocumentationPage {
  const rest = restChapters(openapi);
  const [frames, topics] = [frameChapters(asyncapi), topicChapters(asyncapi)];
  const socket = object(object(asyncapi.channels).socket);
  const parts: readonly Part[] = [
    {
      id: "rest",
      title: "REST",
      door: `${count(rest.slice(0, -1))} operations: accounts, conversations, messages, groups, friends`,
      intro: text(object(openapi.info).description),
      chapters: rest,
    },
    {
      id: "websocket",
      title: "WebSocket",
      door: `${count(frames.slice(0, 1))} frames up, ${count(frames.slice(1, 2))} down, every unary method by call`,
      intro: `${text(socket.description)}\n\n${text(object(asyncapi.info).description)}`,
      chapters: frames,
    },
    {
      id: "kafka",
      title: "Kafka",
      door: `${count(topics)} topics between the gateways and the back end`,
      intro: "Values are JSON, as everywhere. Only committed records are read.",
      chapters: topics,
    },
  ];
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>im-gateway: the API</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<aside>
<header><strong>im-gateway</strong><span>one contract, three doors</span></header>
<search><label for="filter">Filter</label><input id="filter" type="search" placeholder="Filter: path, frame, field …" autocomplete="off" spellcheck="false"><output id="count" for="filter"></output></search>
<details id="menu"><summary>Contents</summary><nav aria-label="Contents">${parts.map(({ title, chapters }) => `<h2>${title}</h2>${chapters.map(navigation).join("")}`).join("")}</nav></details>
</aside>
<main id="content" tabindex="-1">
<h1>im-gateway: the API</h1>
<p class="documents">The same for programs: <a href="/openapi.json">/openapi.json</a> · <a href="/asyncapi.json">/asyncapi.json</a></p>
<div class="doors">${parts.map(({ id, title, door }) => `<a href="#${id}"><strong>${title}</strong>${escapeHtml(door)}</a>`).join("")}</div>
${parts
  .map(
    ({ id, title, intro, chapters }) =>
      `<div class="part" id="${id}"><h2>${title}</h2><div class="intro">${paragraphs(intro)}</div>${chapters.map(chapterHtml).join("")}</div>`,
  )
  .join("")}
<p id="nothing" hidden>Nothing fits the filter.</p>
</main>
<script>${script}</script>
</body>
</html>
`;
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(style)}'`,
    `script-src '${hashOf(script)}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ];
  return { html, contentSecurityPolicy: policy.join("; ") };
}

function count(chapters: readonly Chapter[]): number {
  return chapters.reduce((sum, { sections }) => sum + sections.length, 0);
}

function hashOf(content: string): string {
  return `sha256-${createHash("sha256").update(content).digest("base64")}`;
}

function navigation({ title, sections }: Chapter): string {
  const links = sections.map(
    (section) =>
      `<li data-for="${section.id}"><a href="#${section.id}">${badge(section)}<span>${escapeHtml(section.title)}</span></a></li>`,
  );
  return `<section><h3>${escapeHtml(title)}</h3><ul>${links.join("")}</ul></section>`;
}

function chapterHtml({ title, intro, sections }: Chapter): string {
  return `<div class="chapter"><h3>${escapeHtml(title)}</h3>${intro}${sections.map(sectionHtml).join("")}</div>`;
}

function sectionHtml(section: Section): string {
  const { id, title, subtitle, words, prose, code } = section;
  const search = escapeHtml(`${id} ${title} ${subtitle} ${words} ${section.badge}`.toLowerCase());
  const path =
    subtitle === "" ? "" : `<code class="path">${escapeHtml(subtitle).replaceAll(/\{\w+\}/g, "<var>$&</var>")}</code>`;
  return `<section id="${id}" data-words="${search}" aria-labelledby="${id}-title"${code === "" ? "" : ' class="wide"'}>
<h3 id="${id}-title"><a href="#${id}">${escapeHtml(title)}</a></h3><p class="route">${badge(section)}${path}</p>
<div class="columns"><div class="prose">${prose}</div>${code === "" ? "" : `<div class="code">${code}</div>`}</div></section>`;
}

function badge({ badge: name }: Section): string {
  return name === "" ? "" : `<span class="badge ${name.toLowerCase()}">${escapeHtml(name)}</span>`;
}
