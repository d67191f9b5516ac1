/** Keys and certificates for both ends, made by strongSwan's pki. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createPrivateKey } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Credentials {
  readonly chain: Uint8Array;
  readonly key: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface Authority {
  readonly anchor: Uint8Array;
  /** A key of `type` and a certificate of it for the host `name`. */
  issue(type: string, name: string, size?: string): Credentials;
  /** Its list of revoked certificates. */
  revoke(...certificates: Credentials[]): Uint8Array;
}

/** A certification authority with a key of `type`. It lasts for the life of the process. */
export function createAuthority(type = "ecdsa"): Authority {
  const folder = mkdtempSync(join(tmpdir(), "anystack-pki-"));
  const file = (name: string, data: Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, data);
    return path;
  };
  const pki = (...parameters: string[]) =>
    new Uint8Array(execFileSync("pki", parameters, { stdio: ["ignore", "pipe", "ignore"] }));
  const caKey = file("ca.key", pki("--gen", "--type", type));
  const anchor = pki("--self", "--ca", "--in", caKey, "--type", type, "--dn", "CN=Test authority");
  const caCert = file("ca.der", anchor);
  process.once("exit", () => rmSync(folder, { recursive: true }));
  return {
    anchor,
    issue(kind, name, size) {
      const made = pki("--gen", "--type", kind, ...(size ? ["--size", size] : []));
      const path = file(`${name}.key`, made);
      const chain = pki(
        ...["--issue", "--cacert", caCert, "--cakey", caKey, "--in", path, "--type", "priv"],
        ...["--dn", `CN=${name}`, "--san", name],
      );
      const publicKey = pki("--pub", "--in", path);
      return { chain, key: pkcs8(made, kind), publicKey };
    },
    revoke: (...certificates) =>
      pki(
        ...["--signcrl", "--cacert", caCert, "--cakey", caKey],
        ...certificates.flatMap(({ chain }, i) => ["--cert", file(`revoked${i}.der`, chain)]),
      ),
  };
}

/** pki writes RSA and ECDSA keys in forms of their own. */
function pkcs8(der: Uint8Array, kind: string): Uint8Array {
  if (kind === "ed25519") return der;
  const type = kind === "rsa" ? "pkcs1" : "sec1";
  return createPrivateKey({ key: Buffer.from(der), format: "der", type }).export({
    format: "der",
    type: "pkcs8",
  });
}
