import fc from "fast-check";
import { Partitioners } from "kafkajs";
import { expect, test } from "vitest";
import { partitionOf } from "./partition.ts";

const theirs = Partitioners.DefaultPartitioner();

test("whatever the key, it is where kafkajs puts it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 1, max: 1000 }), (key, partitions) => {
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => {
        return { partitionId, leader: 0, partitionErrorCode: 0, replicas: [], isr: [] };
      });
      const message = { key: Buffer.from(key), value: null };
      expect(partitionOf(key, partitions)).toBe(theirs({ topic: "t", partitionMetadata, message }));
    }),
    { numRuns: 2000 },
  );
});
