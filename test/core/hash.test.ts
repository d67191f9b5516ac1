/** A host that gets its entropy late: who hashes under the stack's key is told when it is another. */
import test from "ava";
import { createWorld } from "../../ports/sim/index.js";
import { hashOf, secure } from "../../stack/core/hash.js";
import { createStack } from "../../stack/core/stack.js";

test("tables are hashed anew when the host has found entropy, and once only", (t) => {
  const host = createWorld({ seed: 1 }).host();
  let entropy = false;
  let rekeyed = 0;
  const random = host.random.bind(host);
  const calls = Object.assign(Object.create(host) as typeof host, {
    random: (target: Uint8Array) => entropy && random(target),
  });
  const stack = createStack(calls, [{ name: "table", attach() {}, rekeyed: () => rekeyed++ }]);
  t.is(stack.hash, null, "nobody has asked for it");
  const hash = hashOf(stack);
  const value = () => (hash.begin(1), hash.word(7), hash.end());
  const before = value();
  t.false(secure(stack));
  t.is(value(), before);
  entropy = true;
  rekeyed = 0;
  t.true(secure(stack));
  t.true(secure(stack));
  t.is(rekeyed, 1);
  t.not(value(), before);
  t.is(hashOf(stack), hash);
  stack.close();
});
