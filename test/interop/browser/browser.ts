/** A browser with the test's page, and the relay that is the far end of its cable: WebSocket on one side, TAP on the other. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { ExecutionContext } from "ava";
import puppeteer from "puppeteer-core";
import { WebSocketServer } from "ws";
import type { Link } from "../../../hypercall/link.js";
import { openTap } from "../../../ports/node/index.js";
import { bundle } from "../../../rollup.config.js";
import { findProgram } from "../../support/need.js";

/** Carries frames between a link and the WebSockets that connect. */
function relay(t: ExecutionContext, link: Link, server: ReturnType<typeof createServer>): void {
  const sockets = new WebSocketServer({ server });
  link.open({
    receive(frame, start, end) {
      for (const socket of sockets.clients) socket.send(frame.slice(start, end));
    },
    carrier() {},
    writable() {},
    lost() {},
  });
  sockets.on("connection", (socket) => {
    socket.on("message", (data: Buffer) => link.transmit(data, 0, data.length, null));
  });
  t.teardown(() => {
    link.close();
    sockets.close();
  });
}

/** Opens the page; its cable leads to the TAP device `tap0` of the namespace, which `watch` may wrap. */
export async function openPage(t: ExecutionContext, namespace: string, watch: (link: Link) => Link) {
  const { code } = await bundle("test/interop/browser/page.ts", { format: "esm", minify: false });
  const server = createServer((request, response) => {
    const script = request.url === "/page.js";
    response.setHeader("Content-Type", script ? "text/javascript" : "text/html");
    response.end(script ? code : '<!doctype html><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  relay(t, watch(openTap({ name: "tap0", netns: namespace })), server);

  const browser = await puppeteer.launch({
    executablePath: findProgram("chromium")!,
    // As root, in a container, without a display.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`http://127.0.0.1:${port}/`, { waitUntil: "load" });
  t.teardown(async () => {
    await browser.close();
    server.closeAllConnections();
    server.close();
  });
  return { page, errors, url: `ws://127.0.0.1:${port}/`, script: `http://127.0.0.1:${port}/page.js` };
}
