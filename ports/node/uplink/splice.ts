/** Two sockets become one connection: data, ends and resets of one side are those of the other. */
import type { Socket } from "node:net";
import type { NodeSocket } from "../socket.js";

/** Pipes hold back who is too fast, in each direction; a half that has ended leaves the other half open. */
export function splice(one: Socket | NodeSocket, other: Socket | NodeSocket): void {
  half(one, other);
  half(other, one);
}

function half(from: Socket | NodeSocket, to: Socket | NodeSocket): void {
  from.pipe(to);
  from.on("error", () => to.resetAndDestroy());
  from.on("close", () => to.destroySoon());
}
