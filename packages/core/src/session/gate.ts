// What stands between live frames and a connection that resumes: grace → holding → settled. Moved here alone; most connections have none.
import type { Place } from "../frame/place.ts";
import type { Absence, Kept } from "./ring.ts";

/** The last seq_id that a connection has, or was given, by conversation. */
export type Through = ReadonlyMap<string, bigint>;

type State =
  /** Just connected: what was kept for the user waits a moment for a `resume` frame, which has it in order with the rest. */
  | { readonly t: "grace"; readonly absence: Absence }
  /** A `resume` is being answered. `length`: characters of `live`, Infinity once they were too many. */
  | { readonly t: "holding"; readonly absence: Absence; live: Kept[]; length: number }
  /** It has been answered: what the answer had may still come by a record that was on its way. */
  | { readonly t: "settled"; readonly through: Through; readonly untilMs: number };

const nothing: Absence = { kept: [], gap: false };

/** A class with private fields, not a closure: a whole gateway's clients may resume at once. */
export class Gate {
  #state: State;

  /** @param absence what was kept for the user; undefined where nothing was, and a `resume` is to be answered at once */
  constructor(absence?: Absence) {
    this.#state =
      absence === undefined ? { t: "holding", absence: nothing, live: [], length: 0 } : { t: "grace", absence };
  }

  get t(): State["t"] {
    return this.#state.t;
  }

  /** Characters that wait for the end of a `resume`. */
  get heldLength(): number {
    return this.#state.t === "holding" && this.#state.length !== Number.POSITIVE_INFINITY ? this.#state.length : 0;
  }

  /** More was held than may be: some messages were dropped. */
  get overflowed(): boolean {
    return this.#state.t === "holding" && this.#state.length === Number.POSITIVE_INFINITY;
  }

  /** From now on frames are held. @returns what was kept for the user; undefined when they are held already */
  hold(): readonly Kept[] | undefined {
    const state = this.#state;
    if (state.t === "holding") {
      return undefined;
    }
    const absence = state.t === "grace" ? state.absence : nothing;
    this.#state = { t: "holding", absence, live: [], length: 0 };
    return absence.kept;
  }

  /**
   * A live frame for the connection; in grace it comes after `release`.
   * @param maxLength characters that may be held
   * @returns what goes out now
   */
  take(live: Kept, maxLength: number): readonly Kept[] {
    const state = this.#state;
    if (state.t !== "holding") {
      return state.t === "settled" && isGiven(live.place, state.through) ? [] : [live];
    }
    if (state.length + live.frame.text.length <= maxLength) {
      state.live.push(live);
      state.length += live.frame.text.length;
      return [];
    }
    // The client will be told to read all anew: no message needs to be held any more, and nothing else has to wait for one.
    const others = [...state.live, live].filter(({ place }) => place === undefined);
    state.live = [];
    state.length = Number.POSITIVE_INFINITY;
    return others;
  }

  /** Nobody resumes: what was kept goes out as it is. */
  release(): Absence {
    const state = this.#state;
    this.#state = { t: "settled", through: new Map(), untilMs: 0 };
    return state.t === "grace" ? state.absence : nothing;
  }

  /**
   * The `resume` has its answer.
   * @param through what the connection has now
   * @param remembered the part of it that late records are compared with, until `untilMs`
   * @returns what was held and is beyond that, each message once, those of a conversation in order
   */
  settle(
    through: Through,
    remembered: Through,
    untilMs: number,
  ): { readonly kept: readonly Kept[]; readonly live: readonly Kept[] } {
    const state = this.#state;
    this.#state = { t: "settled", through: remembered, untilMs };
    if (state.t !== "holding") {
      return { kept: [], live: [] };
    }
    const beyond = ({ place }: Kept): boolean => !isGiven(place, through);
    const kept = inOrder(state.absence.kept.filter(beyond));
    const places = new Set(kept.map(({ place }) => placeKey(place)));
    const live = inOrder(
      state.live.filter((held) => beyond(held) && !(held.place && places.has(placeKey(held.place)))),
    );
    return { kept, live };
  }

  /** What was kept before it came and it has not got: it is gone, and others have the rest. */
  abandonKept(): Absence {
    const state = this.#state;
    this.#state = { t: "settled", through: new Map(), untilMs: 0 };
    return state.t === "settled" ? nothing : state.absence;
  }

  /** All that waits, oldest first: the connection is gone. */
  abandon(): Absence {
    const state = this.#state;
    this.#state = { t: "settled", through: new Map(), untilMs: 0 };
    switch (state.t) {
      case "grace":
        return state.absence;
      case "holding":
        return {
          kept: [...state.absence.kept, ...state.live],
          gap: state.absence.gap || state.length === Number.POSITIVE_INFINITY,
        };
      case "settled":
        return nothing;
    }
  }

  /** Nothing has to be compared any more. */
  isOver(nowMs: number): boolean {
    return this.#state.t === "settled" && this.#state.untilMs <= nowMs;
  }
}

function isGiven(place: Place | undefined, through: Through): boolean {
  return place !== undefined && place.seqId <= (through.get(place.conversationId) ?? -1n);
}

/** Each message once, and where a conversation had them out of order, in order. All else stays where it is. */
function inOrder(held: readonly Kept[]): readonly Kept[] {
  const conversations = new Map<string, Map<bigint, Kept>>();
  for (const item of held) {
    if (item.place !== undefined) {
      const { conversationId, seqId } = item.place;
      const messages = conversations.get(conversationId) ?? new Map<bigint, Kept>();
      conversations.set(conversationId, messages.set(seqId, messages.get(seqId) ?? item));
    }
  }
  const sorted = new Map(
    [...conversations].map(([conversationId, messages]) => [
      conversationId,
      [...messages].sort(([a], [b]) => (a < b ? -1 : 1)).values(),
    ]),
  );
  return held.flatMap((item) => {
    if (item.place === undefined) {
      return [item];
    }
    const next = sorted.get(item.place.conversationId)?.next();
    return next === undefined || next.done === true ? [] : [next.value[1]];
  });
}

function placeKey(place: Place | undefined): string {
  return place === undefined ? "" : `${place.seqId} ${place.conversationId}`;
}
