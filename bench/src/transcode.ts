// make bench-transcode: what a REST request costs until it is bytes for gRPC, against protobuf-es reading the same message from one JSON text; and
// what a match costs with ten routes and with a thousand. Both sides take turns in one process.
import { parseArgs } from "node:util";
import {
  create,
  createFileRegistry,
  type DescService,
  equals,
  fromJsonString,
  type Message,
  setExtension,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  MethodOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { createTranscoder, type RawRequest, type Transcoder } from "@im-gateway/core/transcode";
import { HttpRuleSchema, http } from "@im-gateway/proto";
import { spread } from "./report.ts";

/** CPU time that one side has before the other one's turn: short, so that both meet the same machine. */
const turnMs = 20;
const goals = { bind: 1.5, match: 1.3 };

const noTransport: Transport = {
  unary: () => Promise.reject(new Error("nothing is called")),
  stream: () => Promise.reject(new Error("nothing is called")),
};

/** message Post { string group_id = 1; string user_id = 2; int32 role = 3; string content = 4; int64 seq_id = 5; repeated string tags = 6; Post quoted = 7; } */
function serviceOf(paths: readonly string[]): DescService {
  const field = (name: string, number: number, type: Type, more = {}) => {
    const jsonName = name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    return { name, jsonName, number, type, label: Label.OPTIONAL, ...more };
  };
  const file = create(FileDescriptorProtoSchema, {
    name: "bench.proto",
    package: "bench",
    syntax: "proto3",
    messageType: [
      {
        name: "Post",
        field: [
          field("group_id", 1, Type.STRING),
          field("user_id", 2, Type.STRING),
          field("role", 3, Type.INT32),
          field("content", 4, Type.STRING),
          field("seq_id", 5, Type.INT64),
          field("tags", 6, Type.STRING, { label: Label.REPEATED }),
          field("quoted", 7, Type.MESSAGE, { typeName: ".bench.Post" }),
        ],
      },
    ],
    service: [
      {
        name: "Posts",
        method: paths.map((path, index) => {
          const options = create(MethodOptionsSchema);
          setExtension(options, http, create(HttpRuleSchema, { pattern: { case: "put", value: path }, body: "*" }));
          return { name: `M${index}`, inputType: ".bench.Post", outputType: ".bench.Post", options };
        }),
      },
    ],
  });
  const service = createFileRegistry(file, () => undefined).getService("bench.Posts");
  if (service === undefined) throw new Error("no service bench.Posts");
  return service;
}

const path = "/api/v1/groups/single:u-1:u-2/members/0193a4f2-7c1e/role";
const template = "/api/v1/groups/{group_id}/members/{user_id}/role";
const bodies = {
  "one field": { role: 2 },
  "a message": {
    content: "see you at eight, bring the \u4f1a\u8bae notes",
    seq_id: 1234567,
    role: 2,
    tags: ["work", "urgent"],
    quoted: { user_id: "0193a4f2-7c1f", content: "when do we meet?", seq_id: 1234560 },
  },
};

/** Paths of a realistic shape, the measured one among them. */
function transcoderWith(routes: number): Transcoder {
  const others = Array.from({ length: routes - 1 }, (_, index) =>
    index % 2 === 0
      ? `/api/v1/things${index}/{group_id}/parts/{user_id}`
      : `/api/v1/groups/{group_id}/members/{user_id}/p${index}`,
  );
  return createTranscoder({ services: [serviceOf([...others, template])], transport: noTransport });
}

/** CPU time of a run, ns: what others do on the machine counts less than on the clock. */
function time(run: () => unknown): number {
  let runs = 0;
  const started = process.cpuUsage();
  for (;;) {
    for (let i = 0; i < 500; i++) run();
    runs += 500;
    const { user, system } = process.cpuUsage(started);
    if (user + system >= turnMs * 1000) return ((user + system) * 1000) / runs;
  }
}

function compare(name: string, goal: number, pairs: number, ours: () => unknown, control: () => unknown): void {
  for (let warming = 0; warming < 10; warming++) {
    time(ours);
    time(control);
  }
  const measured = Array.from({ length: pairs }, (_, index) => {
    if (index % 2 === 0) return { ours: time(ours), control: time(control) };
    const first = time(control);
    return { control: first, ours: time(ours) };
  });
  const text = (values: readonly number[], digits: number): string => {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (part: number): string => (sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN).toFixed(digits);
    return `${at(0.5)} (${at(0.25)}–${at(0.75)})`;
  };
  const ratios = measured.map((pair) => pair.ours / pair.control);
  const met = spread(ratios).median <= goal ? "met" : "missed";
  const [ns, controlNs] = [
    text(
      measured.map((pair) => pair.ours),
      0,
    ),
    text(
      measured.map((pair) => pair.control),
      0,
    ),
  ];
  process.stdout.write(`${name}: ${text(ratios, 2)}, goal ≤ ${goal}: ${met}; ${ns} ns against ${controlNs} ns\n`);
}

const { values } = parseArgs({ options: { pairs: { type: "string", default: "75" } } });
const pairs = Number(values.pairs);
const headers = new Headers({ "content-type": "application/json" });

const transcoder = transcoderWith(100);
for (const [name, body] of Object.entries(bodies)) {
  const request: RawRequest = { method: "PUT", path, headers, body: new TextEncoder().encode(JSON.stringify(body)) };
  const { route, message } = transcoder.bind(request);
  const { input } = route.method;
  const json = toJsonString(input, message, { useProtoFieldName: true });
  const control = (): Message => fromJsonString(input, json);
  if (!equals(input, control(), message)) throw new Error("the two sides do not read the same message");
  compare(
    `match + bind + toBinary ÷ fromJsonString + toBinary, ${name}`,
    goals.bind,
    pairs,
    () => toBinary(input, transcoder.bind(request).message),
    () => toBinary(input, control()),
  );
}

const [few, many] = [transcoderWith(10), transcoderWith(1000)];
const bare: RawRequest = { method: "PUT", path, headers, body: null };
compare(
  `match with 1,000 routes ÷ 10 routes`,
  goals.match,
  pairs,
  () => many.bind(bare),
  () => few.bind(bare),
);
