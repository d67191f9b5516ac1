/** The providers of ciphers: vectors of the RFCs and of NIST, each against the others, and what an attacker would send. */
import test from "ava";
import fc from "fast-check";
import { CIPHER_DONE, CIPHER_FAILED, CIPHER_PENDING, constantTimeEqual } from "../../hypercall/crypto.js";
import type { Certificate, Cipher, CipherJob, CryptoHypercalls } from "../../hypercall/crypto.js";
import { webCrypto } from "../../ports/browser/index.js";
import { nobleCrypto } from "../../ports/noble/index.js";
import { nodeCrypto } from "../../ports/node/crypto.js";
import { opensslCrypto } from "../../ports/node/openssl.js";
import { withCertificates } from "../../ports/x509/index.js";
import { need } from "../support/need.js";
import { aeadVectors, FOLDER, plainVectors } from "./vectors.js";

type Provider = Required<Omit<CryptoHypercalls, "agreementKey">>;
const PROVIDERS: readonly (readonly [string, Provider])[] = [
  ["node", nodeCrypto()],
  ["noble", withCertificates(nobleCrypto())],
];

/** Those with ciphers of their own: of keys and certificates "openssl" has what "node" has. */
const SEALERS = [...PROVIDERS, ["openssl", opensslCrypto()] as const] as const;

const hex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const ascii = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, "latin1"));
const base64 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, "base64"));

interface Vector {
  source: string;
  algorithm: string;
  key: Uint8Array;
  nonce: Uint8Array;
  aad?: Uint8Array;
  plain: Uint8Array;
  sealed: Uint8Array;
  tag: Uint8Array;
}

const NONE = new Uint8Array(0);
const VECTORS: readonly Vector[] = [
  {
    source: "NIST GCM specification, test case 4",
    algorithm: "aes-gcm-16",
    key: hex("feffe9928665731c6d6a8f9467308308"),
    nonce: hex("cafebabefacedbaddecaf888"),
    aad: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
    plain: hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    ),
    sealed: hex(
      "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
    ),
    tag: hex("5bc94fbc3221a5db94fae95ae7121a47"),
  },
  {
    source: "NIST GCM specification, test case 13",
    algorithm: "aes-gcm-16",
    key: new Uint8Array(32),
    nonce: new Uint8Array(12),
    plain: NONE,
    sealed: NONE,
    tag: hex("530f8afbc74536b9a963b4f1c4cb738b"),
  },
  {
    source: "RFC 8439 section 2.8.2",
    algorithm: "chacha20-poly1305",
    key: hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
    nonce: hex("070000004041424344454647"),
    aad: hex("50515253c0c1c2c3c4c5c6c7"),
    plain: ascii(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    ),
    sealed: hex(
      `d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b6
       7ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116`,
    ),
    tag: hex("1ae10b594f09e26a7e902ecbd0600691"),
  },
  {
    source: "RFC 3602 section 4, case 1",
    algorithm: "aes-cbc",
    key: hex("06a9214036b8a15b512e03d534120006"),
    nonce: hex("3dafba429d9eb430b422da802c9fac41"),
    plain: ascii("Single block msg"),
    sealed: hex("e353779c1079aeb82708942dbe77181a"),
    tag: NONE,
  },
  {
    source: "RFC 4231 section 4.3 (key longer than its text), cut",
    algorithm: "hmac-sha2-256-128",
    key: ascii("Jefe"),
    nonce: NONE,
    plain: ascii("what do ya want for nothing?"),
    sealed: ascii("what do ya want for nothing?"),
    tag: hex("5bdcc146bf60754e6a042426089575c7"),
  },
  {
    source: "RFC 4231 section 4.3, cut",
    algorithm: "hmac-sha2-384-192",
    key: ascii("Jefe"),
    nonce: NONE,
    plain: ascii("what do ya want for nothing?"),
    sealed: ascii("what do ya want for nothing?"),
    tag: hex("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"),
  },
  {
    source: "RFC 4231 section 4.3, cut",
    algorithm: "hmac-sha2-512-256",
    key: ascii("Jefe"),
    nonce: NONE,
    plain: ascii("what do ya want for nothing?"),
    sealed: ascii("what do ya want for nothing?"),
    tag: hex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"),
  },
];

function jobOf(
  { nonce, aad = NONE, plain, tag }: Pick<Vector, "nonce" | "aad" | "plain" | "tag">,
  text: Uint8Array,
): CipherJob {
  // In the midst of other bytes, which must stay.
  const data = new Uint8Array(8 + plain.length + tag.length + 8).fill(0xa5);
  data.set(text, 8);
  const end = 8 + plain.length;
  const wide = new Uint8Array(aad.length + 4);
  wide.set(aad, 3);
  return { data, start: 8, end, tag: end, nonce, aad: wide, aadStart: 3, aadEnd: 3 + aad.length, done() {} };
}

for (const [name, crypto] of SEALERS) {
  test(`${name}: vectors, in place; every flipped bit, wrong key and closed cipher is refused`, (t) => {
    for (const vector of VECTORS) {
      const cipher = crypto.cipher(vector.algorithm, vector.key, true)!;
      t.truthy(cipher, vector.source);
      t.deepEqual([cipher.nonceSize, cipher.tagSize], [vector.nonce.length, vector.tag.length]);
      const job = jobOf(vector, vector.plain);
      t.is(cipher.seal(job), CIPHER_DONE);
      const { data, start, end, tag } = job;
      t.deepEqual(data.slice(start, end), vector.sealed, vector.source);
      t.deepEqual(data.slice(tag, tag + vector.tag.length), vector.tag, vector.source);
      t.true(data.subarray(0, 8).every((byte) => byte === 0xa5) && data.at(-8) === 0xa5);
      const sealed = data.slice();
      t.is(cipher.open(job), CIPHER_DONE);
      t.deepEqual(data.slice(start, end), vector.plain);
      for (let bit = 0; bit < vector.tag.length * 8; bit++) {
        data.set(sealed);
        data[tag + (bit >> 3)]! ^= 1 << (bit & 7);
        t.is(cipher.open(job), CIPHER_FAILED);
      }
      if (vector.aad && vector.tag.length > 0) {
        data.set(sealed);
        job.aadEnd--;
        t.is(cipher.open(job), CIPHER_FAILED);
      }
      cipher.close();
      cipher.close();
      t.is(cipher.seal(job), CIPHER_FAILED);
    }
    for (const [algorithm, length] of [
      ["aes-gcm-16", 17],
      ["chacha20-poly1305", 16],
      ["aes-cbc", 0],
      ["3des", 24],
    ] as const)
      t.is(crypto.cipher(algorithm, new Uint8Array(length), true), null, algorithm);
    const cbc = crypto.cipher("aes-cbc", new Uint8Array(16), true)!;
    t.is(cbc.seal({ ...jobOf(VECTORS[3]!, VECTORS[3]!.plain), end: 15 }), CIPHER_FAILED);
  });

  test(`${name}: digests begin anew, with and without a key`, (t) => {
    const plain = crypto.digest("sha2-256", null)!;
    const target = new Uint8Array(40);
    for (let i = 0; i < 2; i++) {
      plain.update(ascii("xabcx"), 1, 3);
      plain.update(ascii("xabcx"), 3, 4);
      plain.finish(target, 4);
      t.is(
        Buffer.from(target.subarray(4, 36)).toString("hex"),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      );
    }
    const keyed = crypto.digest("sha2-512", ascii("Jefe"))!;
    const long = new Uint8Array(keyed.size);
    for (let i = 0; i < 2; i++) {
      keyed.update(ascii("what do ya want for nothing?"), 0, 28);
      keyed.finish(long, 0);
      t.is(Buffer.from(long.subarray(0, 8)).toString("hex"), "164b7a7bfcf819e2");
    }
    keyed.close();
    t.throws(() => keyed.update(long, 0, 1));
    t.is(crypto.digest("md5", null), null);
  });
}

/** What comes of a job, of a cipher that answers at once or later. */
function outcome(cipher: Cipher, job: CipherJob, seal: boolean): Promise<number> {
  return new Promise((resolve) => {
    job.done = (_job, result) => resolve(result);
    const result = seal ? cipher.seal(job) : cipher.open(job);
    if (result !== CIPHER_PENDING) resolve(result);
  });
}

const EACH = [...SEALERS, ["web", webCrypto(nobleCrypto())] as const] as const;

for (const [name, crypto] of EACH) {
  test(`${name}: vectors of NIST, BoringSSL, OpenSSL and RFC 4231, and those that must be refused`, async (t) => {
    if (!need(t, { files: [FOLDER] })) return;
    let [good, bad, later] = [0, 0, 0];
    for (const vector of aeadVectors()) {
      const cipher = crypto.cipher(vector.algorithm, vector.key, false)!;
      if (cipher.deferred) later++;
      const job = jobOf({ ...vector, plain: vector.sealed }, vector.sealed);
      const sealed = (): void => {
        job.data.set(vector.sealed, job.start);
        job.data.set(vector.tag, job.tag);
      };
      sealed();
      const before = job.data.slice();
      const result = await outcome(cipher, job, false);
      if (!vector.good) {
        bad++;
        if (result !== CIPHER_FAILED) t.fail(vector.source);
        continue;
      }
      good++;
      const opened = job.data.slice(job.start, job.end);
      if (result !== CIPHER_DONE || Buffer.compare(opened, vector.plain) !== 0) t.fail(vector.source);
      const again = await outcome(cipher, job, true);
      if (again !== CIPHER_DONE || Buffer.compare(job.data, before) !== 0) t.fail(vector.source + " sealed");
      // One bit of it is another.
      job.data[job.start + ((good * 7) % (job.end - job.start + 16))]! ^= 1 << (good & 7);
      if ((await outcome(cipher, job, false)) !== CIPHER_FAILED) t.fail(vector.source + " flipped");
      cipher.close();
    }
    t.true(good > 700 && bad > 500, `${good} ${bad}`);
    t.is(later > 700, name === "web");
    for (const vector of plainVectors()) {
      const cipher = crypto.cipher(vector.algorithm, vector.key, true)!;
      const job = jobOf({ ...vector, aad: NONE }, vector.plain);
      t.is(cipher.seal(job), CIPHER_DONE);
      const { data, start, end, tag } = job;
      const right =
        Buffer.compare(data.subarray(start, end), vector.sealed) === 0 &&
        Buffer.compare(data.subarray(tag, tag + vector.tag.length), vector.tag) === 0;
      if (!right) t.fail(vector.source);
      const back =
        cipher.open(job) === CIPHER_DONE && Buffer.compare(data.subarray(start, end), vector.plain) === 0;
      if (!back) t.fail(vector.source + " opened");
    }
  });
}

test("web: answers in the order of the questions; what is pending when it is closed has failed, and nothing is written", async (t) => {
  const cipher = webCrypto(nobleCrypto()).cipher("aes-gcm-16", new Uint8Array(16), false)!;
  t.true(cipher.deferred);
  const order: string[] = [];
  const jobs = [4000, 0, 9, 2000, 1].map((size, i) => {
    const job = jobOf(
      { nonce: new Uint8Array(12).fill(i), plain: new Uint8Array(size), tag: new Uint8Array(16) },
      NONE,
    );
    job.done = (each, result) => void order.push(`${i} ${each === job} ${result}`);
    t.is(cipher.seal(job), CIPHER_PENDING);
    return job;
  });
  t.deepEqual(order, []);
  t.is(await outcome(cipher, jobOf(VECTORS[0]!, VECTORS[0]!.plain), true), CIPHER_DONE);
  t.deepEqual(order, ["0 true 1", "1 true 1", "2 true 1", "3 true 1", "4 true 1"]);
  const data = jobs[0]!.data.slice();
  for (const job of jobs) cipher.open(job);
  cipher.close();
  cipher.close();
  t.deepEqual(order.slice(5), ["0 true 0", "1 true 0", "2 true 0", "3 true 0", "4 true 0"]);
  t.is(cipher.seal(jobs[0]!), CIPHER_FAILED);
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.deepEqual(jobs[0]!.data, data);
  t.is(order.length, 10);
  // Keys that Web Crypto does not have everywhere, and who cannot wait: the provider beneath.
  const crypto = webCrypto(nobleCrypto());
  t.false(crypto.cipher("aes-gcm-16", new Uint8Array(24), false)!.deferred);
  t.false(crypto.cipher("aes-gcm-16", new Uint8Array(16), true)!.deferred);
  t.is(crypto.cipher("aes-gcm-16", new Uint8Array(17), false), null);
});

test("what one provider seals the other opens, byte for byte the same", (t) => {
  for (const [algorithm, size] of [
    ["aes-gcm-16", 16],
    ["aes-gcm-16", 32],
    ["aes-gmac", 16],
    ["chacha20-poly1305", 32],
    ["aes-cbc", 32],
  ] as const) {
    for (const length of [0, 16, 64, 1456]) {
      const key = Uint8Array.from({ length: size }, (_, i) => i * length);
      const nonce = Uint8Array.from({ length: algorithm === "aes-cbc" ? 16 : 12 }, (_, i) => i + length);
      const text = Uint8Array.from({ length }, (_, i) => i & 255);
      const vector: Vector = {
        ...{ source: "", algorithm, key, nonce, aad: key.subarray(0, 12), plain: text, sealed: text },
        tag: new Uint8Array(algorithm === "aes-cbc" ? 0 : 16),
      };
      const jobs = SEALERS.map(([name, crypto]) => {
        const job = jobOf(vector, text);
        t.is(crypto.cipher(algorithm, key, true)!.seal(job), CIPHER_DONE, name);
        return job;
      });
      for (const job of jobs) t.deepEqual(job.data, jobs[0]!.data, `${algorithm} ${length}`);
      for (const [i, [name, crypto]] of SEALERS.entries()) {
        const job = jobs[(i + 1) % jobs.length]!;
        t.is(crypto.cipher(algorithm, key, true)!.open(job), CIPHER_DONE, name);
        t.deepEqual(job.data.subarray(8, 8 + length), text);
      }
    }
  }
});

test("openssl: a context that has refused a packet, or had another size, seals and opens the next as node does", (t) => {
  const crypto = opensslCrypto();
  const node = nodeCrypto();
  for (const [algorithm, size, nonceSize, tagSize] of [
    ["aes-gcm-16", 16, 12, 16],
    ["aes-gcm-16", 24, 12, 16],
    ["aes-gmac", 32, 12, 16],
    ["chacha20-poly1305", 32, 12, 16],
    ["aes-cbc", 16, 16, 0],
    ["hmac-sha2-256-128", 32, 0, 16],
    ["hmac-sha2-384-192", 48, 0, 24],
    ["hmac-sha2-512-256", 200, 0, 32],
  ] as const) {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    const packet = fc.record({
      ...{ text: fc.uint8Array({ maxLength: 300 }), nonce: bytes(nonceSize) },
      ...{ aad: fc.uint8Array({ maxLength: 90 }), flip: fc.option(fc.nat(), { freq: 2 }) },
    });
    fc.assert(
      fc.property(bytes(size), fc.array(packet, { maxLength: 6 }), (key, packets) => {
        const kept = crypto.cipher(algorithm, key, true)!;
        for (const { text, nonce, aad, flip } of packets) {
          const plain = text.subarray(0, text.length - (text.length % kept.blockSize));
          const job = jobOf({ nonce, aad, plain, tag: new Uint8Array(tagSize) }, plain);
          const other = { ...job, data: job.data.slice() };
          if (kept.seal(job) !== CIPHER_DONE) return false;
          node.cipher(algorithm, key, true)!.seal(other);
          if (Buffer.compare(job.data, other.data) !== 0) return false;
          const flipped = flip !== null && tagSize > 0;
          if (flipped) job.data[8 + (flip % (plain.length + tagSize))]! ^= 1;
          if (kept.open(job) !== (flipped ? CIPHER_FAILED : CIPHER_DONE)) return false;
          if (!flipped && Buffer.compare(job.data.subarray(8, job.end), plain) !== 0) return false;
        }
        kept.close();
        return true;
      }),
      { numRuns: 60 },
    );
    // Behind an array is other memory: nothing is touched there.
    const cipher = crypto.cipher(algorithm, new Uint8Array(size), true)!;
    const good = jobOf(
      { nonce: new Uint8Array(16), plain: new Uint8Array(32), tag: new Uint8Array(32) },
      NONE,
    );
    for (const bad of [
      { start: -16 },
      { end: 96 },
      { start: 24, end: 8 },
      { end: NaN },
      { tag: 81 - tagSize },
      { tag: -1 },
      { aadStart: -1 },
      { aadEnd: 5 },
    ]) {
      t.is(cipher.seal({ ...good, ...bad }), CIPHER_FAILED, `${algorithm} ${JSON.stringify(bad)}`);
      t.is(cipher.open({ ...good, ...bad }), CIPHER_FAILED);
    }
    t.true(good.data.every((byte) => byte === 0xa5));
    // Its memory has gone elsewhere.
    structuredClone(good.data, { transfer: [good.data.buffer] });
    t.is(cipher.seal(good), CIPHER_FAILED);
  }
  t.throws(() => opensslCrypto({ library: "/nowhere/libcrypto.so" }), { code: "ENOSYS" });
});

test("key exchange between providers; shares that are none are refused", (t) => {
  for (const [, ours] of PROVIDERS) {
    for (const [, theirs] of PROVIDERS) {
      for (const group of ["x25519", "p256", "p384", "p521", "modp2048", "modp3072", "mlkem768"]) {
        if (!ours.algorithms.includes(group) || !theirs.algorithms.includes(group)) continue;
        ours.exchange(group, (own) => {
          theirs.respond(group, own!.share, (share, secret) => {
            own!.finish(share!, (mine) => t.deepEqual(mine, secret, group));
            own!.finish(share!, (again) => t.is(again, null));
          });
        });
        for (const bad of [
          NONE,
          new Uint8Array(32),
          new Uint8Array(64),
          new Uint8Array(96).fill(255),
          new Uint8Array(256),
          new Uint8Array(1184).fill(255),
        ])
          ours.respond(group, bad, (share, secret) =>
            t.deepEqual([share, secret], [null, null], `${group} ${bad.length}`),
          );
      }
      ours.exchange("modp768", (own) => t.is(own, null));
    }
  }
});

const RFC8032_KEY = hex(
  "302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
);
const RFC8032_SIGNATURE = hex(
  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
);
const [CA, SUB, LEAF, LEAF_KEY] = [
  "MIIBnDCCAUOgAwIBAgIUYnB5pG0tGpDyyf6gBtkQDDRHeUgwCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQYW55c3RhY2sgdGVzdCBDQTAgFw0yNjExMjYwMDI0MDdaGA8yMTI2MTEwMjAwMjQwN1owGzEZMBcGA1UEAwwQYW55c3RhY2sgdGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHHaJhoiktG9Z7HpqFR9H21jsJ7RP68FoN+NfL2CLu3uRwAA/aFN9HgYcGwkuVCTBHpMvcWFQAxmBmaP4Xa70TmjYzBhMB0GA1UdDgQWBBQ7AQZ3AlXwk8SJL3BN8UbU4gz4/jAfBgNVHSMEGDAWgBQ7AQZ3AlXwk8SJL3BN8UbU4gz4/jAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAKBggqhkjOPQQDAgNHADBEAiBFjWJDkHPa0G6J3LgcdGNNGzXGjqBMhiMp79j2V3TqMwIgSA9QEpKTzUg7K/kJ+MI5IQSjCncwth6NCaSD6eLIEYk=",
  "MIIBcjCCARigAwIBAgIUGVc4ZWxCb+mtZow0jq5nu+WjNxswCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQYW55c3RhY2sgdGVzdCBDQTAgFw0yNjExMjYwMDI0MDhaGA8yMTI2MTEwMjAwMjQwOFowHDEaMBgGA1UEAwwRYW55c3RhY2sgdGVzdCBzdWIwKjAFBgMrZXADIQA0gGDFUANv82D94twvofBwhO+KRVsGQDrvWp9adjH496NmMGQwEgYDVR0TAQH/BAgwBgEB/wIBADAOBgNVHQ8BAf8EBAMCAgQwHQYDVR0OBBYEFBI6aCweuToIvDoddxrptz31h9XuMB8GA1UdIwQYMBaAFDsBBncCVfCTxIkvcE3xRtTiDPj+MAoGCCqGSM49BAMCA0gAMEUCIQCLwycPePcWdj8kQ/rV+HScD0bHXo2zd0xu8fqHZCnv+wIgTWDENV8/TQtClzFH3ILHaZXbqGbP7OCap8KT8bvkzxA=",
  "MIIByjCCAXygAwIBAgIUCMtzEqZZUejDd4TX9hGeHSOzk88wBQYDK2VwMBwxGjAYBgNVBAMMEWFueXN0YWNrIHRlc3Qgc3ViMCAXDTI2MTEyNjAwMjQwOFoYDzIxMjYxMTAyMDAyNDA4WjANMQswCQYDVQQDDAJndzB2MBAGByqGSM49AgEGBSuBBAAiA2IABFPkyuElN/eR0mSHn+sMmRJ9E1I0T+YS0tKuwFW5ZUhtmXl5R5LVIx3wokvus5MCC2RrTtLmlBtjfg4cpc6GisHLExyecR7qE8+rgVOTqR9/eBsTkY4rxt6PghDtkRmCsaOBkDCBjTA7BgNVHREENDAyggpndy5leGFtcGxlhwTAAAIBgQxhQGd3LmV4YW1wbGWHECABDbgAAAAAAAAAAAAAAAEwDgYDVR0PAQH/BAQDAgeAMB0GA1UdDgQWBBReQGmVIN/EDWXTOci5OKJxiQ9vrzAfBgNVHSMEGDAWgBQSOmgsHrk6CLw6HXca6bc99YfV7jAFBgMrZXADQQCw+nbX/H51FVclz5uFuUcIBKVFfxOQmxXs/Vews19bkgC/N7RYcAprH+wSTT/7TAy9Qs1Kv0yi3EOMIPna7OMI",
  "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCMxsyvkCcjy8ZUMPtY/ZObcuFVSJsy9o2N8+h9mDghpQbt0kwoLFczwB+/7liVMWehZANiAART5MrhJTf3kdJkh5/rDJkSfRNSNE/mEtLSrsBVuWVIbZl5eUeS1SMd8KJL7rOTAgtka07S5pQbY34OHKXOhorByxMcnnEe6hPPq4FTk6kff3gbE5GOK8bej4IQ7ZEZgrE=",
].map(base64) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];

test("signatures and certificates", (t) => {
  for (const [name, crypto] of PROVIDERS) {
    const check = (scheme: string, key: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean => {
      let result: boolean | null = null;
      crypto.verify(scheme, key, data, signature, (good) => (result = good));
      return result!;
    };
    // RFC 8032 section 7.1, test 1.
    t.true(check("ed25519", RFC8032_KEY, NONE, RFC8032_SIGNATURE), name);
    t.false(check("ed25519", RFC8032_KEY, hex("00"), RFC8032_SIGNATURE));
    t.false(check("ecdsa-sha2-256", RFC8032_KEY, NONE, RFC8032_SIGNATURE));
    t.false(check("ed25519", NONE, NONE, NONE));
    const key = crypto.signingKey(LEAF_KEY)!;
    t.is(key.type, "p384");
    const leaf = crypto.parseCertificate(LEAF)!;
    t.deepEqual(Buffer.from(key.publicKey), Buffer.from(leaf.publicKey));
    for (const scheme of ["ecdsa-sha2-256", "ecdsa-sha2-384", "ecdsa-sha2-512"]) {
      crypto.sign(scheme, key, LEAF, (signature) => {
        for (const [, other] of PROVIDERS)
          other.verify(scheme, leaf.publicKey, LEAF, signature!, (good) => t.true(good, scheme));
        signature![8]! ^= 1;
        t.false(check(scheme, leaf.publicKey, LEAF, signature!));
      });
    }
    crypto.sign("ed25519", key, LEAF, (signature) => t.is(signature, null));
    key.close();
    crypto.sign("ecdsa-sha2-256", key, LEAF, (signature) => t.is(signature, null));

    t.deepEqual(leaf.names, ["dns:gw.example", "ip:192.0.2.1", "email:a@gw.example", "ip:2001:db8::1"]);
    const ca = crypto.parseCertificate(CA)!;
    const sub = crypto.parseCertificate(SUB)!;
    t.deepEqual([ca.authority, sub.authority, leaf.authority], [true, true, false]);
    const path = (chain: Certificate[], anchors: Certificate[]): boolean => {
      let result: boolean | null = null;
      crypto.verifyChain(chain, anchors, (good) => (result = good));
      return result!;
    };
    t.true(path([leaf, sub], [ca]), name);
    t.true(path([leaf, ca, sub], [ca]));
    // An authority's key is for certificates, and proves nobody's name.
    t.false(path([sub], [ca]));
    t.true(path([leaf], [leaf]));
    t.false(path([leaf], [ca]));
    t.false(path([leaf, sub], []));
    t.false(path([], [ca]));
    t.false(path([sub, leaf], [leaf]));
    // A byte of the signed part that is another: the name, the key.
    for (let at = 60; at < LEAF.length; at += 7) {
      const forged = LEAF.slice();
      forged[at]! ^= 4;
      const parsed = crypto.parseCertificate(forged);
      t.false(parsed !== null && path([parsed, sub], [ca]), `byte ${at}`);
    }
    for (let length = 0; length < LEAF.length; length++)
      t.is(crypto.parseCertificate(LEAF.subarray(0, length)), null);
  }
  t.true(constantTimeEqual(hex("0102"), 0, hex("000102"), 1, 2));
  t.false(constantTimeEqual(hex("0102"), 0, hex("0103"), 0, 2));
});
