/** anystack: `createStack` and the seams of its components. Each component is an import of its own: see README. */
export { createStack, Stack, HEADROOM } from "./core/stack.js";
export type { Component, StackOptions } from "./core/stack.js";
export { Interface } from "./core/interface.js";
export type { StackError } from "./core/errors.js";
export * from "./core/errors.js";
export { errorName } from "./core/error-name.js";
