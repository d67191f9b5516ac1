/** SLIP: any packets, any bytes, any split; a line that takes bytes as it likes. */
import test from "ava";
import fc from "fast-check";
import { slip } from "../../stack/link/slip.js";
import type { SlipOptions } from "../../stack/link/slip.js";
import { concat, hex } from "../support/bytes.js";

/** A link over a line that takes `rates` bytes at a time (none: all), and what comes of it. */
function ends(options: SlipOptions = {}, rates: number[] = []) {
  const bytes: number[] = [];
  const packets: Uint8Array[] = [];
  let writable = 0;
  const line = slip(
    {
      write(data, start, end) {
        const rate = rates.length > 0 ? rates.shift()! : end - start;
        bytes.push(...data.subarray(start, Math.min(end, start + Math.max(0, rate))));
        return rate;
      },
    },
    options,
  );
  line.open({
    receive: (frame: Uint8Array, start: number, end: number) => {
      packets.push(frame.slice(start, end));
      return undefined;
    },
    writable: () => writable++,
  } as never);
  return { line, bytes, packets, writable: () => writable };
}

const cut = (data: Uint8Array, at: number[]): Uint8Array[] => {
  const places = [0, ...at.map((n) => n % (data.length + 1)).sort((a, b) => a - b), data.length];
  return places.slice(1).map((end, i) => data.subarray(places[i], end));
};

test("RFC 1055's escapes on the line, END before and behind", (t) => {
  const { line, bytes } = ends();
  t.is(line.transmit(Uint8Array.of(9, 0x45, 0xc0, 0xdb, 0xdc, 0xdd, 1, 9), 1, 7), 0);
  t.deepEqual(Uint8Array.from(bytes), hex("c0 45 dbdc dbdd dc dd 01 c0"));
  t.is(line.counters.sent, 1);
});

test("any packets there and back, any split, any pace of the line", (t) => {
  const byte = fc.oneof(fc.constantFrom(0xc0, 0xdb, 0xdc, 0xdd), fc.nat(255));
  const packet = fc.array(byte, { minLength: 1, maxLength: 90 }).map((list) => Uint8Array.from(list));
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 6 }),
      fc.array(fc.integer({ min: -1, max: 200 }), { maxLength: 40 }),
      fc.array(fc.nat(2000), { maxLength: 20 }),
      (packets, rates, cuts) => {
        const near = ends({ mtu: 90 }, rates);
        for (const each of packets) {
          // No room until all of it has gone; it says once when.
          for (let i = 0; near.line.transmit(each, 0, each.length) < 0; i++) {
            near.line.drain();
            t.true(i < 50);
          }
        }
        for (let i = 0; i < 50; i++) near.line.drain();
        const far = ends({ mtu: 90 });
        for (const piece of cut(Uint8Array.from(near.bytes), cuts)) far.line.input(piece, 0, piece.length);
        t.deepEqual(far.packets, packets);
        t.is(far.line.counters.received, packets.length);
        t.is(far.line.counters.malformed + far.line.counters.tooLong, 0);
      },
    ),
  );
});

test("RES-05: any bytes in any split: no packet beyond the MTU, the same as in one piece, and the next good one is taken", (t) => {
  const byte = fc.oneof(fc.constantFrom(0xc0, 0xdb, 0xdc, 0xdd), fc.nat(255));
  fc.assert(
    fc.property(
      fc.array(byte, { maxLength: 400 }),
      fc.array(fc.nat(400), { maxLength: 20 }),
      (list, cuts) => {
        const noise = Uint8Array.from(list);
        const whole = ends({ mtu: 68 });
        const pieces = ends({ mtu: 68 });
        whole.line.input(noise, 0, noise.length);
        for (const piece of cut(noise, cuts)) pieces.line.input(piece, 0, piece.length);
        t.deepEqual(pieces.packets, whole.packets);
        t.deepEqual(pieces.line.counters, whole.line.counters);
        t.true(whole.packets.every(({ length }) => length > 0 && length <= 68));
        const good = ends({ mtu: 68 });
        good.line.transmit(Uint8Array.of(0x45, 0xc0, 7), 0, 3);
        whole.line.input(Uint8Array.from(good.bytes), 0, good.bytes.length);
        t.deepEqual(whole.packets.pop(), Uint8Array.of(0x45, 0xc0, 7));
        // Each packet that was dropped has raised one counter.
        const { malformed, tooLong, received } = whole.line.counters;
        t.true(received + malformed + tooLong <= list.filter((each) => each === 0xc0).length + 2);
      },
    ),
  );
});

test("a lost byte costs one packet; too long ones, a false escape, an escaped END; the MTU's edge", (t) => {
  const { line, packets } = ends({ mtu: 68 });
  const put = (...parts: Uint8Array[]) => {
    const data = concat(...parts);
    line.input(data, 0, data.length);
  };
  const end = Uint8Array.of(0xc0);
  put(new Uint8Array(68), end, new Uint8Array(69), end, Uint8Array.of(1, 0xdb, 5, 6), end);
  put(Uint8Array.of(1, 0xdb), end, end, end, Uint8Array.of(4), end);
  t.deepEqual(
    packets.map(({ length }) => length),
    [68, 1],
  );
  t.deepEqual({ ...line.counters }, { received: 2, sent: 0, malformed: 2, tooLong: 1, tooBig: 0 });
  t.is(line.transmit(new Uint8Array(69), 0, 69), 0);
  t.is(line.counters.tooBig, 1);
});

test("no room until the line drains; closed in the middle, it begins anew; misuse", (t) => {
  const { line, bytes, packets, writable } = ends({}, [3, 0, NaN, 1]);
  t.is(line.transmit(Uint8Array.of(1, 2, 3, 4), 0, 4), 0);
  t.is(line.transmit(Uint8Array.of(9), 0, 1), -1);
  line.drain();
  line.drain();
  line.drain();
  t.is(writable(), 0);
  line.drain();
  t.is(writable(), 1);
  t.deepEqual(bytes, [0xc0, 1, 2, 3, 4, 0xc0]);
  line.drain();
  t.is(writable(), 1);
  line.input(Uint8Array.of(0xc0, 5, 6), 0, 3);
  t.throws(() => line.open({} as never), { code: "EBUSY" });
  line.close();
  line.close();
  line.input(Uint8Array.of(7, 0xc0), 0, 2);
  t.deepEqual(packets, []);
  for (const mtu of [0, 67, 65536, 1.5])
    t.throws(() => slip({ write: () => 0 }, { mtu }), { code: "EINVAL" });
  t.throws(() => slip({} as never), { code: "EINVAL" });
});
