/** What all engines run: one bundle, made by the firmware chain. */
export { conversation4, conversation6 } from "./conversation.js";
export { serve, weigh } from "./memory.js";
export { mutations, vectors } from "./vectors.js";
export { weighTables } from "./tables.js";
