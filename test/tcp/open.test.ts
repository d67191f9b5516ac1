/** Opening (RFC 9293 section 3.5): handshakes from both sides, their options, and everything that may go wrong. */
import test from "ava";
import { accepted, connected } from "./support.js";

test("passive open", (t) => {
  const { peer, socket, events } = accepted(t);
  t.is(socket.remoteAddress(), "10.0.0.2");
  peer.send("PA", {}, "hello");
  t.deepEqual(events, ["readable 5"]);
  peer.silent();
});

test("active open", (t) => {
  const { peer, socket, events } = connected(t);
  t.deepEqual(events, ["connect", "writable 65536"]);
  socket.write(Uint8Array.of(65));
  peer.expect("PA", { seq: 1, ack: 1, payload: "A" });
});

test("what was received before the end stays readable until close, and a stack that closes takes it back", (t) => {
  const { peer, socket, events, lab } = accepted(t);
  peer.send("PA", {}, "hello");
  peer.send("RA");
  lab.run(1);
  t.deepEqual(events, ["readable 5", "close -104"]);
  t.is(socket.readable(), 5);
  t.is(lab.stack.pool.used, 1);
  const target = new Uint8Array(9);
  t.is(socket.read(target), 5);
  t.is(lab.stack.pool.used, 0);
  socket.close();
});
