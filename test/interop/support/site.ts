/** Files that web servers serve, and nginx to serve them. */
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Tcp } from "../../../stack/tcp/tcp.js";
import { bodyHash, eachPiece, serveHttp } from "./http.js";
import type { Namespace } from "./namespace.js";

/** A folder for the test's files. */
export function scratch(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), "anystack-http-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A file of `length` bytes with the body that `bodyHash` is of, and that number for its name. */
export function bodyFile(folder: string, length: number): string {
  const path = join(folder, `${length}`);
  const fd = openSync(path, "w");
  eachPiece(length, (piece) => writeSync(fd, piece));
  closeSync(fd);
  return path;
}

/** Starts nginx on port 8080 of `address` (in brackets when of IPv6) with the files of `folder`. */
export async function serveNginx(ns: Namespace, address: string, folder: string): Promise<void> {
  for (const name of ["body", "proxy", "fastcgi", "uwsgi", "scgi"]) mkdirSync(join(folder, name));
  const config = `
    worker_processes 1;
    user root;
    pid ${folder}/pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${folder}/body;
      proxy_temp_path ${folder}/proxy;
      fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi;
      scgi_temp_path ${folder}/scgi;
      server { listen ${address}:8080; root ${folder}; }
    }`;
  writeFileSync(join(folder, "nginx.conf"), config);
  await ns.serve("tcp", 8080, "nginx", ["-c", join(folder, "nginx.conf"), "-g", "daemon off;"]);
}

/** nginx serves a body of `size` bytes on port 8080 of the addresses (in brackets when of IPv6), for `curlFile`. */
export async function serveFile(
  t: ExecutionContext,
  ns: Namespace,
  addresses: readonly string[],
  size: number,
): Promise<void> {
  const folder = scratch(t);
  bodyFile(folder, size);
  await serveNginx(ns, addresses.join(":8080; listen "), folder);
}

/** curl fetches what `serveFile` serves, whole. */
export async function curlFile(
  t: ExecutionContext,
  ns: Namespace,
  host: string,
  size: number,
  options = "",
): Promise<void> {
  const command = `curl -sgf --max-time 200 ${options} http://${host}:8080/${size} | sha256sum`;
  const { stdout } = await ns.run("sh", ["-c", command], { timeout: 210_000 });
  t.is(stdout.split(" ")[0], bodyHash(size), host);
}

/** curl fetches `size` bytes from our server and sends as many to it; what arrives is what was sent. */
export async function curlBothWays(
  t: ExecutionContext,
  { ns, tcp }: { readonly ns: Namespace; readonly tcp: Tcp },
  address: string,
  size: number,
): Promise<void> {
  const server = serveHttp(tcp, 80);
  const hash = bodyHash(size);
  const speed = (text: string) => `${Math.round(Number(text) / 1e6)} MB/s`;

  const pipe = `set -o pipefail; curl -gsS -w '%{stderr}%{speed_download}' http://${address}/bytes/${size} | sha256sum`;
  const down = await ns.run("bash", ["-c", pipe], { timeout: 240_000 });
  t.is(down.stdout, `${hash}  -\n`);
  t.log(`down: ${speed(down.stderr)}`);

  const file = bodyFile(scratch(t), size);
  const parameters = ["-gsS", "-T", file, "-w", "%{stderr}%{speed_upload}", `http://${address}/`];
  const up = await ns.run("curl", parameters, { timeout: 240_000 });
  t.is(up.stdout, `${hash}\n`);
  t.log(`up: ${speed(up.stderr)}`);
  t.deepEqual(server.failures, []);
  server.listener.close();
}
