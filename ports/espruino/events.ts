/** Event listeners by name, with the methods that Espruino's (and Node's) objects have for them. */
import type { Deferred, Stack } from "../../stack/core/stack.js";

export type Handler = (this: any, first?: any, second?: any) => void;

/** The listeners of one object. Its owner passes its own `on`, `emit`, ... on to it: the small engines lack inheritance. */
export class Events {
  private names: string[] = [];
  private handlers: Handler[] = [];

  on(name: string, handler: Handler): void {
    this.names.push(name);
    this.handlers.push(handler);
  }

  /** Takes a listener away; without `handler` all of `name`, without `name` all. */
  off(name?: string, handler?: Handler): void {
    for (let i = this.names.length - 1; i >= 0; i--) {
      if (name !== undefined && this.names[i] !== name) continue;
      if (handler !== undefined && this.handlers[i] !== handler) continue;
      this.names.splice(i, 1);
      this.handlers.splice(i, 1);
      if (handler !== undefined) return;
    }
  }

  has(name: string): boolean {
    return this.names.indexOf(name) >= 0;
  }

  /** Calls the listeners that are there now; false: there are none. */
  emit(owner: unknown, name: string, first?: unknown, second?: unknown): boolean {
    const names = this.names.slice();
    const handlers = this.handlers.slice();
    let heard = false;
    for (let i = 0; i < names.length; i++) {
      if (names[i] !== name) continue;
      heard = true;
      handlers[i].call(owner, first, second);
    }
    return heard;
  }
}

/** Calls `task` once the stack is at rest, after the caller has returned. */
export function later(stack: Stack, task: () => void): void {
  const deferred: Deferred = { queued: false, nextDeferred: null, run: task };
  stack.defer(deferred);
}
