/** Certificates that lie, of every kind: both readers refuse them, and OpenSSL's `verify` says the same of paths. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GeneralName, KeyUsageFlags } from "@peculiar/asn1-x509";
import test from "ava";
import fc from "fast-check";
import type { CryptoHypercalls } from "../../hypercall/crypto.js";
import { nobleCrypto } from "../../ports/noble/index.js";
import { nodeCrypto } from "../../ports/node/index.js";
import { withCertificates } from "../../ports/x509/index.js";
import { extension, issue, makeKey, revoke } from "./issue.js";
import type { Key, ListShape, Shape } from "./issue.js";

const PROVIDERS = [nodeCrypto(), withCertificates(nobleCrypto())] as const;
type Provider = (typeof PROVIDERS)[number];

const folder = mkdtempSync(join(tmpdir(), "certificates-"));
test.after.always(() => rmSync(folder, { recursive: true }));

const keys = new Map<string, Key>();
function key(who: string): Key {
  if (!keys.has(who)) keys.set(who, makeKey(keys.size & 1 ? "p256" : "ed25519"));
  return keys.get(who)!;
}

/** A certificate of `subject` by `issuer`, each with the one key of its name unless the shape says another. */
function make(subject: string, issuer: string, shape: Partial<Shape> = {}): Uint8Array {
  return issue({ subject, issuer, key: key(subject), by: key(issuer), ...shape });
}

const authority = { authority: true, usage: KeyUsageFlags.keyCertSign };
const root = make("root", "root", authority);
const leaf = { names: [new GeneralName({ dNSName: "gw.example" })], usage: KeyUsageFlags.digitalSignature };

function judge(
  crypto: Provider,
  chain: Uint8Array[],
  anchors: Uint8Array[],
  revocation?: { lists: Uint8Array[]; strict: boolean },
): boolean | null {
  const read = (list: Uint8Array[]) => list.map((der) => crypto.parseCertificate(der));
  const [path, trusted] = [read(chain), read(anchors)];
  if (path.includes(null) || trusted.includes(null)) return null;
  let result: boolean | null = null;
  const lists = (revocation?.lists ?? []).map((der) => crypto.parseRevocationList(der)!);
  const known = revocation ? { lists, strict: revocation.strict } : undefined;
  crypto.verifyChain(path as never, trusted as never, (good) => (result = good), known);
  return result;
}

let files = 0;
function pem(list: Uint8Array[], kind = "CERTIFICATE"): string {
  const path = join(folder, `${files++}.pem`);
  writeFileSync(
    path,
    list
      .map(
        (der) =>
          `-----BEGIN ${kind}-----\n${Buffer.from(der)
            .toString("base64")
            .replace(/.{64}/g, "$&\n")}\n-----END ${kind}-----\n`,
      )
      .join(""),
  );
  return path;
}

/** What OpenSSL's own path validation says. */
function openssl([first, ...others]: Uint8Array[], anchors: Uint8Array[], lists?: Uint8Array[]): boolean {
  const more = others.length > 0 ? ["-untrusted", pem(others)] : [];
  if (lists) more.push("-crl_check_all");
  if (lists && lists.length > 0) more.push("-CRLfile", pem(lists, "X509 CRL"));
  const result = spawnSync("openssl", [
    "verify",
    "-no-CApath",
    "-CAfile",
    pem(anchors),
    ...more,
    pem([first!]),
  ]);
  return result.status === 0;
}

const sub = make("sub", "root", authority);
const other = { key: key("impostor"), by: key("impostor") };
const past = new Date("2021-01-01T00:00:00Z");
const future = new Date("2110-01-01T00:00:00Z");

/** Title, what the peer sends, whether it is good; the last: OpenSSL's command asks for less. */
const PATHS: [string, Uint8Array[], boolean, "ours alone"?][] = [
  ["by the root", [make("leaf", "root", leaf)], true],
  ["over another authority, others in between", [make("leaf", "sub", leaf), make("x", "y"), root, sub], true],
  ["the authority is missing", [make("leaf", "sub", leaf)], false],
  [
    "nobody knows its issuer",
    [make("leaf", "stranger", leaf), make("stranger", "stranger", authority)],
    false,
  ],
  [
    "a root of the same name",
    [
      make("leaf", "root", { ...leaf, by: key("impostor") }),
      make("root", "root", { ...authority, ...other }),
    ],
    false,
  ],
  [
    "an authority of the same name, first another's, then the right one",
    [make("leaf", "sub", leaf), make("sub", "root", { ...authority, ...other }), sub],
    true,
  ],
  [
    "of two ways up one is a dead end",
    [
      make("leaf", "sub", leaf),
      make("sub", "stranger", authority),
      make("stranger", "stranger", authority),
      sub,
    ],
    true,
    "ours alone",
  ],
  ["expired", [make("leaf", "root", { ...leaf, notAfter: past })], false],
  ["not yet valid", [make("leaf", "root", { ...leaf, notBefore: future })], false],
  [
    "over an authority that has expired",
    [make("leaf", "old", leaf), make("old", "root", { ...authority, notAfter: past })],
    false,
  ],
  ["over one that is no authority", [make("leaf", "mere", leaf), make("mere", "root", leaf)], false],
  ["over one without basic constraints", [make("leaf", "bare", leaf), make("bare", "root")], false],
  [
    "over one whose key may not sign certificates",
    [make("leaf", "clerk", leaf), make("clerk", "root", { authority: true, usage: KeyUsageFlags.cRLSign })],
    false,
  ],
  [
    "path length 0, and nothing between",
    [make("leaf", "last", leaf), make("last", "root", { ...authority, pathLength: 0 })],
    true,
  ],
  [
    "path length 0, and one between",
    [
      make("leaf", "under", leaf),
      make("under", "last", authority),
      make("last", "root", { ...authority, pathLength: 0 }),
    ],
    false,
  ],
  [
    "path length 1, and one between",
    [
      make("leaf", "under", leaf),
      make("under", "first", authority),
      make("first", "root", { ...authority, pathLength: 1 }),
    ],
    true,
  ],
  ["a loop", [make("leaf", "a", leaf), make("a", "b", authority), make("b", "a", authority)], false],
  [
    "a critical extension that nobody knows",
    [make("leaf", "root", { ...leaf, more: [extension("1.3.6.1.4.1.99999.1", true, Uint8Array.of(5, 0))] })],
    false,
  ],
  [
    "one that is not critical",
    [make("leaf", "root", { ...leaf, more: [extension("1.3.6.1.4.1.99999.1", false, Uint8Array.of(5, 0))] })],
    true,
  ],
  [
    "an authority with name constraints, which we do not read",
    [
      make("leaf", "narrow", leaf),
      make("narrow", "root", { ...authority, more: [extension("2.5.29.30", false, Uint8Array.of(0x30, 0))] }),
    ],
    false,
    "ours alone",
  ],
  [
    "a key that may encipher, not sign",
    [make("leaf", "root", { ...leaf, usage: KeyUsageFlags.keyEncipherment })],
    false,
    "ours alone",
  ],
  [
    "for mail alone",
    [make("leaf", "root", { ...leaf, purposes: ["1.3.6.1.5.5.7.3.4"] })],
    false,
    "ours alone",
  ],
  ["for IKE", [make("leaf", "root", { ...leaf, purposes: ["1.3.6.1.5.5.7.3.17"] })], true],
  ["an authority's own certificate", [sub], false, "ours alone"],
];

test("IKE-09 paths: good ones, and those that lead nowhere; OpenSSL says the same", (t) => {
  for (const [title, chain, good, alone] of PATHS) {
    for (const crypto of PROVIDERS) t.is(judge(crypto, chain, [root]), good, title);
    if (!alone) t.is(openssl(chain, [root]), good, `OpenSSL: ${title}`);
  }
  t.regex(execFileSync("openssl", ["version"], { encoding: "utf8" }), /^OpenSSL/);
  for (const crypto of PROVIDERS) {
    const pinned = make("leaf", "nobody", leaf);
    t.true(judge(crypto, [pinned], [pinned]));
    t.false(judge(crypto, [make("leaf", "root", leaf)], []));
    t.false(judge(crypto, [], [root]));
  }
});

test("IKE-09 a crowd of authorities of one name costs a bounded number of signatures", (t) => {
  let signatures = 0;
  const noble = nobleCrypto();
  const crypto = withCertificates({
    ...noble,
    verify: (...parameters: Parameters<NonNullable<CryptoHypercalls["verify"]>>) => {
      signatures++;
      noble.verify(...parameters);
    },
  });
  // All have the same name and key: each has signed each.
  const same = { ...authority, key: key("crowd"), by: key("crowd") };
  const crowd = Array.from({ length: 30 }, () => make("crowd", "crowd", same));
  t.false(judge(crypto, [make("leaf", "crowd", leaf), ...crowd], [root]));
  t.true(signatures <= 24, `${signatures}`);
  t.false(judge(PROVIDERS[0], [make("leaf", "crowd", leaf), ...crowd], [root]));
});

test("IKE-09 who is in a list of its issuer's is refused, and in strict mode who is in none; OpenSSL says the same", (t) => {
  const both = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const top = make("top", "top", { authority: true, usage: both });
  const middle = make("middle", "top", { authority: true, usage: both });
  const [one, two] = [make("one", "middle", leaf), make("two", "middle", leaf)];
  const chain = [one, middle];
  const list = (issuer: string, revoked: Uint8Array[] = [], shape: Partial<ListShape> = {}) =>
    revoke({ issuer, by: key(issuer), revoked, ...shape });
  const none = [list("top"), list("middle")];
  // Title, lists, what comes of them if need be, in strict mode.
  const cases: [string, Uint8Array[], boolean, boolean][] = [
    ["no lists", [], true, false],
    ["lists without it", none, true, true],
    ["another of the same issuer", [list("top"), list("middle", [two])], true, true],
    ["it is revoked", [list("top"), list("middle", [two, one])], false, false],
    ["its authority is revoked", [list("top", [middle]), list("middle")], false, false],
    ["its number by another issuer", [list("top", [one]), list("middle")], true, true],
    ["no list of the root's", [list("middle")], true, false],
    [
      "a list that another has signed",
      [list("top"), list("middle", [one], { by: key("impostor") })],
      true,
      false,
    ],
    [
      "a list that has run out, and names it",
      [list("top"), list("middle", [one], { nextUpdate: past })],
      false,
      false,
    ],
    [
      "a list that has run out, and does not",
      [list("top"), list("middle", [], { nextUpdate: past })],
      true,
      false,
    ],
    ["a list of the future", [list("top"), list("middle", [one], { thisUpdate: future })], true, false],
    ["of two lists the second", [list("top"), list("middle"), list("middle", [one])], false, false],
  ];
  for (const [title, lists, good, strict] of cases) {
    for (const crypto of PROVIDERS) {
      t.is(judge(crypto, chain, [top], { lists, strict: false }), good, title);
      t.is(judge(crypto, chain, [top], { lists, strict: true }), strict, title);
    }
    // It takes the newest list of an issuer alone, and those of one day are equally new.
    if (!title.startsWith("of two")) t.is(openssl(chain, [top], lists), strict, `OpenSSL: ${title}`);
  }
  // Whose key is not for lists.
  const clerk = make("clerk", "top", { authority: true, usage: KeyUsageFlags.keyCertSign });
  const served = [make("served", "clerk", leaf), clerk];
  for (const crypto of PROVIDERS) {
    const lists = [list("top"), list("clerk", [served[0]!])];
    t.true(judge(crypto, served, [top], { lists, strict: false }));
    t.false(judge(crypto, served, [top], { lists, strict: true }));
    // An anchor is trusted as it is.
    t.true(judge(crypto, [top], [top], { lists: none, strict: true }) !== null);
  }
  const odd: [string, Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["a certificate", one],
    ["a byte behind it", Uint8Array.from([...none[0]!, 0])],
    ["of a part", list("top", [], { more: [extension("2.5.29.28", true, Uint8Array.of(0x30, 0))] })],
    ["of changes", list("top", [], { more: [extension("2.5.29.27", false, Uint8Array.of(2, 1, 1))] })],
    [
      "of others' certificates",
      list("top", [one], { entry: [extension("2.5.29.29", true, Uint8Array.of(0x30, 0))] }),
    ],
  ];
  for (const crypto of PROVIDERS) {
    for (const [title, der] of odd) t.is(crypto.parseRevocationList(der), null, title);
    for (let length = 0; length < none[0]!.length; length++)
      t.is(crypto.parseRevocationList(none[0]!.subarray(0, length)), null);
    // Any byte of it another: it is nobody's list, and revokes nobody.
    const full = list("middle", [one]);
    for (let at = 0; at < full.length; at += 3) {
      const forged = full.slice();
      forged[at]! ^= 1;
      if (crypto.parseRevocationList(forged))
        t.true(judge(crypto, chain, [top], { lists: [list("top"), forged], strict: false }), `byte ${at}`);
    }
    // Many entries are read, and found.
    const many = Array.from({ length: 500 }, () => two);
    t.false(judge(crypto, chain, [top], { lists: [list("middle", [...many, one])], strict: false }));
  }
});

/** DER of a length in its shortest form. */
function wrap(tag: number, content: Uint8Array): Uint8Array {
  const n = content.length;
  const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255];
  return Uint8Array.from([tag, ...length, ...content]);
}

test("IKE-09 what is no certificate: deep, giant, lengths that lie, algorithms that differ, extensions twice", (t) => {
  let deep: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < 8000; i++) deep = wrap(0x30, deep);
  const good = make("leaf", "root", leaf);
  const twice = extension("1.2.3.4", false, Uint8Array.of(5, 0));
  const usage = extension("2.5.29.15", true, Uint8Array.of(3, 2, 5, 0xa0));
  // A length in a longer form than needed: BER, but not DER.
  const ber = Uint8Array.from([0x30, 0x83, 0, good[2]!, good[3]!, ...good.subarray(4)]);
  const cases: [string, Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["8000 sequences in each other", deep],
    [
      "32 KiB of NULL",
      wrap(
        0x30,
        new Uint8Array(32000).fill(5).map((byte, i) => (i & 1 ? 0 : byte)),
      ),
    ],
    ["larger than any message", wrap(0x30, new Uint8Array(40000))],
    ["a length of 2^31", Uint8Array.from([0x30, 0x84, 0x80, 0, 0, 0, ...good.subarray(4)])],
    ["a length of 2^64", Uint8Array.from([0x30, 0x88, ...new Uint8Array(8).fill(255), ...good.subarray(4)])],
    ["no end of its length", Uint8Array.from([0x30, 0x80, ...good.subarray(4), 0, 0])],
    ["a byte behind it", Uint8Array.from([...good, 0])],
    ["a length longer than it need be", ber],
    ["another algorithm inside", make("leaf", "root", { ...leaf, inner: "1.2.840.113549.1.1.11" })],
    ["an extension twice", make("leaf", "root", { ...leaf, more: [twice, twice] })],
    ["key usage twice", make("leaf", "root", { ...leaf, more: [usage] })],
    [
      "a key usage that is none",
      make("leaf", "root", { more: [extension("2.5.29.15", true, Uint8Array.of(4, 0))] }),
    ],
    [
      "names that are none",
      make("leaf", "root", { more: [extension("2.5.29.17", true, Uint8Array.of(0x30, 5, 0x82, 9))] }),
    ],
  ];
  for (const [title, der] of cases)
    for (const crypto of PROVIDERS) t.is(crypto.parseCertificate(der), null, title);
  for (const crypto of PROVIDERS) {
    // A name with a control character, and an address that is none, are nobody's.
    const odd = [
      new GeneralName({ dNSName: "gw.example\0.evil" }),
      new GeneralName({ rfc822Name: "a b@c" }),
      new GeneralName({ dNSName: "gw.example" }),
    ];
    t.deepEqual(crypto.parseCertificate(make("leaf", "root", { names: odd }))!.names, ["dns:gw.example"]);
  }
});

test("IKE-09 any byte of any certificate another: nothing throws, and no path leads there", (t) => {
  const chain = [make("leaf", "sub", leaf), sub];
  fc.assert(
    fc.property(
      fc.nat(1),
      fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(1),
      (which, edits, provider) => {
        const list = chain.map((der) => der.slice());
        const forged = list[which]!;
        for (const [at, value] of edits) if (at < forged.length) forged[at] = value;
        if (Buffer.compare(forged, chain[which]!) !== 0)
          t.not(judge(PROVIDERS[provider]!, list, [root]), true);
      },
    ),
    { numRuns: 300 },
  );
});
