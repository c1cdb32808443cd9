// Loaded into a process by `node --import`: its wall clock is off by CLOCK_SHIFT_MS from the start. JavaScript has no other wall clock than
// Date, so that nothing has to be preloaded into the runtime; monotonic time (performance.now, timers) goes on as it is, as on a machine
// whose clock is set wrong.
const shiftMs = Number(process.env.CLOCK_SHIFT_MS ?? 0);
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...parts: [] | [number | string | Date]) {
    if (parts.length === 0) super(RealDate.now() + shiftMs);
    else super(...parts);
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
