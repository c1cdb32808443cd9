// The records of the dead-letter topic, which have no message of their own: they are other records as they came (CONTRACT §5).
import type { JsonObject } from "@bufbuild/protobuf";

const header = (description: string): JsonObject => ({ type: "string", description });

export const deadLetterMessage: JsonObject = {
  name: "DeadLetter",
  title: "Dead letter",
  description: "A record that could not be read, as it came; of an oversized one the headers and the first KiB.",
  contentType: "application/octet-stream",
  headers: {
    type: "object",
    properties: {
      "source-topic": header("The topic that it was read from."),
      "source-partition": header("The partition there."),
      "source-offset": header("The offset there."),
      reason: header("Why it could not be read, as text."),
    },
    required: ["source-topic", "source-partition", "source-offset", "reason"],
  },
  payload: { description: "Any bytes." },
  bindings: { kafka: { key: { type: "string", description: "As it came." } } },
};
