// Typed events. A listener that throws stops no other one, and is reported as any uncaught error.

export type Listener<T> = (value: T) => void;

export interface Emitter<Events> {
  /** @returns removes the listener */
  on<E extends keyof Events>(event: E, listener: Listener<Events[E]>): () => void;
  off<E extends keyof Events>(event: E, listener: Listener<Events[E]>): void;
  emit<E extends keyof Events>(event: E, value: Events[E]): void;
}

export function createEmitter<Events>(): Emitter<Events> {
  const listeners: { [E in keyof Events]?: Set<Listener<Events[E]>> } = {};
  const off: Emitter<Events>["off"] = (event, listener) => {
    listeners[event]?.delete(listener);
  };
  return {
    on(event, listener) {
      listeners[event] ??= new Set();
      listeners[event].add(listener);
      return () => off(event, listener);
    },
    off,
    emit(event, value) {
      for (const listener of [...(listeners[event] ?? [])]) {
        try {
          listener(value);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}
