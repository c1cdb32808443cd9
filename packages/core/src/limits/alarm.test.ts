import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Alarm, createAlarm } from "./alarm.ts";

const create = (): Alarm => createAlarm({ raiseAt: 100, clearBelow: 50, holdMs: 1000 });

describe("an alarm at 100, over below 50, after a second", () => {
  test.each<[string, readonly (readonly [atMs: number, value: number])[], boolean]>([
    [
      "one long stall",
      [
        [0, 0],
        [3000, 2900],
        [3100, 0],
        [9000, 2000],
        [9100, 0],
      ],
      false,
    ],
    [
      "over for less than a second",
      [
        [0, 100],
        [900, 500],
        [1000, 99],
        [1100, 500],
        [2000, 500],
      ],
      false,
    ],
    [
      "over in every sample of a second",
      [
        [0, 100],
        [500, 100],
        [1000, 100],
      ],
      true,
    ],
    [
      "over in few samples, for that each takes long",
      [
        [700, 600],
        [1400, 600],
        [2100, 600],
      ],
      true,
    ],
    [
      "well again for less than a second",
      [
        [0, 100],
        [1000, 100],
        [1100, 0],
        [2000, 0],
      ],
      true,
    ],
    [
      "neither well nor over",
      [
        [0, 100],
        [1000, 100],
        [1100, 50],
        [5000, 99],
      ],
      true,
    ],
    [
      "well again for a second",
      [
        [0, 100],
        [1000, 100],
        [1100, 49],
        [2100, 49],
      ],
      false,
    ],
  ])("%s", (_name, samples, raised) => {
    const alarm = create();
    for (const [atMs, value] of samples) {
      alarm.sample(value, atMs);
    }
    expect(alarm.raised).toBe(raised);
  });

  test("it changes only after a second in which every sample said so", () => {
    const samples = fc.array(fc.record({ step: fc.integer({ min: 1, max: 700 }), value: fc.nat({ max: 150 }) }), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(samples, (given) => {
        const alarm = create();
        const seen: { readonly atMs: number; readonly value: number }[] = [];
        let atMs = 0;
        for (const { step, value } of given) {
          atMs += step;
          seen.push({ atMs, value });
          const before = alarm.raised;
          alarm.sample(value, atMs);
          const since = seen.findLastIndex((sample) => sample.atMs <= atMs - 1000);
          const lately = since === -1 ? undefined : seen.slice(since).map((sample) => sample.value);
          if (alarm.raised !== before) {
            expect(lately?.every((one) => (before ? one < 50 : one >= 100))).toBe(true);
          }
        }
      }),
    );
  });
});
