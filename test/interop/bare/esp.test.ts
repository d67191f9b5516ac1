/** A board's sensor and Linux (in user-mode-linux) speak ESP with static keys; damage, plain packets, restarts; what the board refuses. */
import { createCipheriv } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { buildImage } from "../../../examples/firmware-image/build.js";
import type { LinkReceiver } from "../../../hypercall/link.js";
import { openUdpFrame } from "../../../ports/node/index.js";
import { Uml } from "../ipsec/uml.js";
import { run, start } from "../support/process.js";
import { machineArguments } from "./board.js";

const MACHINE = "mps2-an385";
const entry = fileURLToPath(new URL("../../../examples/road-warrior/sensor.ts", import.meta.url));
const [BOARD, KERNEL] = ["10.9.0.1", "10.9.0.2"];
const MASTER = Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => i * 37));
const SUITES = [
  ["aes-gcm-16", 20, "rfc4106(gcm(aes))"],
  ["chacha20-poly1305", 36, "rfc7539esp(chacha20,poly1305)"],
  ["aes-gcm-16", 20, "rfc4106(gcm(aes))"],
] as const;

interface Reading {
  reading: number;
  spi: number;
  state: { busy: number; memory: number[]; esp: Record<string, number>; ipsec: Record<string, number> };
}

/** The key of a boot and direction as boot-keys.ts says, by OpenSSL. */
function derive(boot: number, direction: number, size: number): string {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(direction, 0);
  nonce.writeUInt32BE(boot, 8);
  const cipher = createCipheriv("chacha20-poly1305", MASTER, nonce, { authTagLength: 16 });
  return "0x" + cipher.update(Buffer.alloc(size)).toString("hex");
}

function states(boot: number): string[] {
  const [, size, name] = SUITES[boot - 1]!;
  const state = (from: string, to: string, direction: number) =>
    `xfrm state add src ${from} dst ${to} proto esp spi ${256 + boot} reqid ${boot} mode transport replay-window 32 aead '${name}' ${derive(boot, direction, size)} 128`;
  return [state(BOARD, KERNEL, 1), state(KERNEL, BOARD, 2)];
}

function policies(boot: number): string[] {
  const policy = (from: string, to: string, direction: string) =>
    `xfrm policy add src ${from} dst ${to} dir ${direction} tmpl src ${from} dst ${to} proto esp reqid ${boot} mode transport`;
  return ["xfrm policy flush", policy(BOARD, KERNEL, "in"), policy(KERNEL, BOARD, "out")];
}

const parameters = (image: string, options: Record<string, string>, network: string[]): string[] => [
  ...machineArguments(MACHINE, image),
  "-semihosting-config",
  ["enable=on,target=native,arg=sensor", ...Object.entries(options).map((pair) => pair.join("="))].join(
    ",arg=",
  ),
  ...network,
];

const OPTIONS = {
  address: `${BOARD}/24`,
  peer: KERNEL,
  key: MASTER.toString("hex"),
  every: "300",
};

test("ESP with Linux over three boots: other keys each, nothing in the clear, damage and repeats are refused", async (t) => {
  t.timeout(240_000);
  const folder = mkdtempSync(join(tmpdir(), "anystack-esp-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const boots = join(folder, "boots");
  writeFileSync(boots, new Uint8Array(4));
  const image = await buildImage(MACHINE, { entry, ciphers: true });
  const port = 20000 + (process.pid % 10000) * 4;
  const [boardPort, near, far] = [port, port + 1, port + 2];
  const board = await openUdpFrame({ local: { port: port + 3 }, remote: { port: boardPort } });
  const kernel = await openUdpFrame({
    local: { port: near },
    remote: { port: far },
    l2tpv3: { receiveSession: 1, transmitSession: 2 },
  });
  t.teardown(() => (board.close(), kernel.close()));
  /** What the cable does to the kernel's next frame with ESP. */
  let damage: "" | "repeat" | "corrupt" = "";
  /** The board's frames that are neither ESP nor ARP. */
  let clear = 0;
  let protectedFrames = 0;
  const end = (who: "board" | "kernel"): LinkReceiver => ({
    receive(data, from, to) {
      const far = who === "board" ? kernel : board;
      const type = (data[from + 12]! << 8) | data[from + 13]!;
      if (type === 0x0800 && data[from + 23] === 50) {
        protectedFrames++;
        if (who === "kernel") {
          if (damage === "repeat") far.transmit(data, from, to);
          if (damage === "corrupt") data[to - 1]! ^= 1;
          damage = "";
        }
      } else if (who === "board" && type !== 0x0806) clear++;
      far.transmit(data, from, to);
    },
    carrier() {},
    writable() {},
    lost() {},
  });
  board.open(end("board"));
  kernel.open(end("kernel"));
  const uml = await Uml.boot(far, near, `ip addr add ${KERNEL}/24 dev vec0; ip link set vec0 up`);
  t.teardown(() => uml.halt());
  const ask = async (...order: (string | number)[]) => {
    const answer = await uml.ask(...order);
    if (typeof answer !== "string" || !answer.startsWith("{")) throw new Error(String(answer));
    return JSON.parse(answer) as Reading;
  };

  for (const [index, [suite]] of SUITES.entries()) {
    const boot = index + 1;
    await uml.ip([...states(boot), ...policies(boot)]);
    const network = [
      ...["-net", "nic,model=lan9118,netdev=n0,macaddr=02:00:0a:09:00:01", "-netdev"],
      `dgram,id=n0,local.type=inet,local.host=127.0.0.1,local.port=${boardPort},` +
        `remote.type=inet,remote.host=127.0.0.1,remote.port=${port + 3}`,
    ];
    const qemu = start("qemu-system-arm", parameters(image, { ...OPTIONS, boots, suite }, network));
    t.teardown(async () => {
      if (!t.passed) t.log(qemu.output);
      await qemu.stop();
    });
    await qemu.until(/^started/m, 60_000);
    const first = await ask("hear", 5000);
    t.is(first.spi, 256 + boot);
    t.is(await uml.ask("ping", BOARD, 56), true, suite);
    t.is(await uml.ask("ping", BOARD, 1300), true, suite);
    if (boot === 1) {
      damage = "repeat";
      t.is(await uml.ask("ping", BOARD, 56), true);
      damage = "corrupt";
      t.is(await uml.ask("ping", BOARD, 56), true, "the second try");
      const { esp } = (await ask("hear", 5000)).state;
      t.like(esp, { auth: 1, replay: 1, malformed: 0, noSa: 0, cipher: 0 });
      // The kernel forgets that it must protect: nothing is answered.
      await uml.ip(["xfrm policy flush"]);
      t.is(await uml.ask("ping", BOARD, 56), false);
      await uml.ip(policies(boot));
      t.true((await ask("hear", 5000)).state.ipsec.policy! > 0);
    }
    const { state, reading } = await ask("hear", 5000);
    t.true(reading > first.reading);
    t.log(`${suite}: ${JSON.stringify(state)}; ${qemu.output.match(/^started.*$/m)![0].trim()}`);
    await qemu.stop();
  }
  t.is(clear, 0);
  t.true(protectedFrames >= 20);
  const { 1: errors } = (await uml.ask("run", "cat /proc/net/xfrm_stat")) as [number, string];
  t.notRegex(errors, /^XfrmIn(StateProtoError|StateSeqError|StateInvalid)\s+[1-9]/m);
});

test("without ciphers, and without a count of its boots, the sensor does not start", async (t) => {
  t.timeout(240_000);
  const folder = mkdtempSync(join(tmpdir(), "anystack-esp-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const boots = join(folder, "boots");
  writeFileSync(boots, new Uint8Array(4).fill(255));
  for (const [ciphers, options, message] of [
    [false, OPTIONS, /ENOPROTOOPT: the host has no crypto/],
    [true, { ...OPTIONS, random: "none" }, /EIO: random/],
    [true, OPTIONS, /EIO: boots are not counted/],
    [true, { ...OPTIONS, boots: join(folder, "none") }, /EIO: boots are not counted/],
    // 2^32 - 1 boots: the number after it would be the first again.
    [true, { ...OPTIONS, boots }, /EIO: boots are not counted/],
    [true, { ...OPTIONS, key: "00" }, /EINVAL: key/],
  ] as const) {
    const image = await buildImage(MACHINE, { entry, ciphers });
    const { code, stdout } = await run("qemu-system-arm", parameters(image, options, ["-nic", "none"]), {
      timeout: 60_000,
      codes: null,
    });
    t.regex(stdout, message);
    t.is(code, 71);
  }
});
