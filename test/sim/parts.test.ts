/** A part of docs/congestion.md: TCP keeps up with the PFTK model, whatever its parts. */
import test from "ava";
import { cubic } from "../../stack/tcp/cubic.js";
import { rack } from "../../stack/tcp/rack.js";
import { compare, pftk } from "./parts.js";

test("the model: Reno's square root law where losses are rare", (t) => {
  const rate = pftk(1e-5, 0.1, 0.3);
  const law = ((1448 * 8) / 0.1) * Math.sqrt(3 / (4 * 1e-5));
  t.true(Math.abs(rate / law - 1) < 0.02);
});

test("at least 0.8 of the model, with the default parts and with RACK and CUBIC", (t) => {
  for (const parts of [() => ({}), () => ({ congestion: cubic(), recovery: rack() })]) {
    const { goodput, share } = compare(0.02, 100, parts);
    t.log(`${Math.round(goodput / 1000)} kbit/s, ${share.toFixed(2)} of the model`);
    t.true(share > 0.8);
  }
});
