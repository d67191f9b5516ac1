/** IPv6 addresses as text, both ways. */
import test from "ava";
import fc from "fast-check";
import { format6, parse6 } from "../../stack/core/text6.js";
import { ip6Bytes } from "../support/bytes.js";

const format = (text: string) => format6(ip6Bytes(text), 0);

test("RFC 5952: lower case, no leading zeros, the longest run of zeros", (t) => {
  const examples: Record<string, string> = {
    "2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1",
    "2001:0DB8::0001": "2001:db8::1",
    "2001:db8:0:0:0:0:2:1": "2001:db8::2:1",
    // One group alone is not shortened, of equal runs the first is.
    "2001:db8:0:1:1:1:1:1": "2001:db8:0:1:1:1:1:1",
    "2001:0:0:1:0:0:0:1": "2001:0:0:1::1",
    "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1",
    "0:0:0:0:0:0:0:0": "::",
    "0:0:0:0:0:0:0:1": "::1",
    "1:0:0:0:0:0:0:0": "1::",
    "0:1:0:1:0:1:0:1": "0:1:0:1:0:1:0:1",
    "0:0:1:0:0:0:0:0": "0:0:1::",
    "ff02:0:0:0:0:1:ff00:00ab": "ff02::1:ff00:ab",
    // Section 5: what has an IPv4 address in it by a well-known prefix shows it.
    "0:0:0:0:0:ffff:c000:0201": "::ffff:192.0.2.1",
    "0:0:0:0:0:ffff:0:0": "::ffff:0.0.0.0",
    "0:0:0:0:0:fffe:c000:0201": "::fffe:c000:201",
    "0:0:0:0:ffff:0:c000:0201": "::ffff:0:c000:201",
    "0:0:0:1:0:ffff:c000:0201": "::1:0:ffff:c000:201",
  };
  for (const [text, expected] of Object.entries(examples)) t.is(format(text), expected, text);
});

test("every way to write an address is read (RFC 4291 section 2.2)", (t) => {
  const forms: Record<string, string> = {
    "::": "0:0:0:0:0:0:0:0",
    "::1": "0:0:0:0:0:0:0:1",
    "1::": "1:0:0:0:0:0:0:0",
    "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
    "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
    "1:2:3::5:6:7:8": "1:2:3:0:5:6:7:8",
    "FE80::ABCD": "fe80:0:0:0:0:0:0:abcd",
    "::ffff:192.0.2.33": "0:0:0:0:0:ffff:c000:221",
    "::192.0.2.33": "0:0:0:0:0:0:c000:221",
    "64:ff9b::192.0.2.33": "64:ff9b:0:0:0:0:c000:221",
    "1:2:3:4:5:6:1.2.3.4": "1:2:3:4:5:6:102:304",
    "1::5:6:1.2.3.4": "1:0:0:0:5:6:102:304",
    "0001:0002:0003:0004:0005:0006:0007:0008": "1:2:3:4:5:6:7:8",
  };
  for (const [text, expected] of Object.entries(forms)) t.deepEqual(parse6(text), ip6Bytes(expected), text);
});

test("what is no address is refused", (t) => {
  const bad = [
    "",
    ":",
    ":::",
    "1",
    "1:",
    ":1",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8:",
    ":1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1::2::3",
    "1:::2",
    "::1:",
    "12345::",
    "g::",
    "-1::",
    " ::1",
    "::1 ",
    "::1%eth0",
    "::1/64",
    "[::1]",
    "1.2.3.4",
    "::1.2.3",
    "::1.2.3.4.5",
    "::256.1.1.1",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::01.2.3.4",
    "1:2:3:4:5:6:7:8" + "0".repeat(40),
    "0x1::",
    "::\u0661",
    "::G",
    "::`",
    "::@",
  ];
  for (const text of bad) t.is(parse6(text), null, JSON.stringify(text));
  for (const value of [null, undefined, 1, {}, []]) t.is(parse6(value as never), null);
});

/** Addresses with runs of zeros, and without; of IPv4. */
const address = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.array(fc.oneof(fc.constant(0), fc.constant(0), fc.nat(255), fc.nat(65535)), {
      minLength: 8,
      maxLength: 8,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(65535), fc.nat(65535)).map((low) => [0, 0, 0, 0, 0, 65535, ...low]),
  },
);

test("what is written is read again, whatever the bytes", (t) => {
  fc.assert(
    fc.property(address, (groups) => {
      const bytes = Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]));
      const text = format6(bytes, 0);
      t.deepEqual(parse6(text), bytes);
      // Another's opinion: URLs have the same form, but for IPv4's.
      if (!text.includes(".")) t.is(new URL(`http://[${text}]/`).hostname, `[${text}]`);
      else t.is(groups.slice(0, 6).join(), "0,0,0,0,0,65535");
      if (text.includes(".")) return;
      t.regex(text, /^[0-9a-f:]{2,39}$/);
      t.is(text.split("::").length <= 2, true);
      // Nothing shorter says the same: no run of zeros is longer than what `::` stands for.
      const left = text.split(":").length - (text.includes("::") ? 1 : 0);
      const longest = Math.max(
        ...groups
          .map((_, i) => groups.slice(i).findIndex((group) => group !== 0))
          .map((n, i) => (n < 0 ? 8 - i : n)),
      );
      if (longest >= 2 && !text.startsWith("::") && !text.endsWith("::")) t.is(left, 8 - longest);
      t.is(text.includes("::"), longest >= 2);
    }),
  );
});

test("any text: nothing throws, and what is read is written in its one form", (t) => {
  const part = fc.constantFrom(":", "::", "0", "1", "ffff", "F", "1.2.3.4", ".", "g", "00000", "%", "/");
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(part, { maxLength: 18 }).map((list) => list.join("")),
        fc.string(),
      ),
      (text) => {
        const bytes = parse6(text);
        if (bytes === null) return;
        t.is(bytes.length, 16);
        t.deepEqual(parse6(format6(bytes, 0)), bytes);
        t.deepEqual(bytes, ip6Bytes(text));
      },
    ),
    { numRuns: 5000 },
  );
});
