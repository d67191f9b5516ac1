/** The HTTP server of the gateway's description and control: one request a connection, of bounded size, in bounded time. */
import { parse4 } from "../core/text4.js";
import { Timer } from "../core/timers.js";
import type { TcpSocket } from "../tcp/socket.js";
import type { Tcp } from "../tcp/tcp.js";
import { Connections } from "./connections.js";
import { SERVICES, rootDescription, serviceDescription } from "./upnp-description.js";
import { HEAD, HttpHead, NO_NUMBER, bytesOf, headEnd } from "./upnp-http.js";
import type { UpnpIgd } from "./upnp-igd.js";
import { SERVER } from "./upnp-ssdp.js";

/** Bytes of the longest body. */
const BODY = 4096;
/** Milliseconds in which a request must be there and its answer be taken. */
const TIME = 10000;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

class Connection {
  readonly data = new Uint8Array(HEAD + BODY);
  have = 0;
  /** Where the body begins, or -1. */
  body = -1;
  service = -1;
  out: Uint8Array | null = null;
  sent = 0;
  closed = false;
  readonly head = new HttpHead();
  readonly timer: Timer;

  constructor(
    readonly server: UpnpStream,
    readonly socket: TcpSocket,
    readonly remote: string,
  ) {
    this.timer = new Timer(late, this);
  }
}

export class UpnpStream {
  readonly connections: Connections<Connection>;

  constructor(
    readonly igd: UpnpIgd,
    tcp: Tcp,
  ) {
    const listener = tcp.listen({
      port: igd.port,
      family: 4,
      onConnection: (socket) => this.accept(socket),
    });
    this.connections = new Connections<Connection>(igd.stack, listener);
  }

  close(): void {
    this.connections.close();
  }

  private accept(socket: TcpSocket): void {
    const igd = this.igd;
    const remote = socket.remoteAddress();
    const address = parse4(remote);
    let own = 0;
    const list = this.connections.list;
    for (let i = 0; i < list.length; i++) if (list[i].remote === remote) own++;
    const full = list.length >= igd.connections || own >= (igd.connections + 3) >> 2;
    if (address === null || !igd.serves(address)) igd.counters.strangers++;
    else if (full) igd.counters.full++;
    else {
      const c = new Connection(this, socket, remote);
      this.connections.add(c, TIME);
      socket.handle({
        onReadable: () => readable(c),
        onWritable: () => flush(c),
        onEnd: () => {
          if (!c.out) end(c);
        },
        onClose: () => end(c),
      });
      return;
    }
    socket.abort();
  }
}

function readable(c: Connection): void {
  while (!c.closed && !c.out) {
    const most = c.body < 0 ? HEAD : c.data.length;
    const from = c.have;
    const length = c.socket.read(c.data, from, most);
    if (length <= 0) break;
    c.have += length;
    if (c.body < 0) {
      // The end of a head has four bytes at most.
      c.body = headEnd(c.data, from < 3 ? 0 : from - 3, c.have);
      if (c.body >= 0) begin(c);
      else if (c.have === HEAD) refuse(c, 431, "Request Header Fields Too Large");
    }
    if (!c.out && c.body >= 0 && c.have >= c.body + c.head.count("content-length")) call(c);
  }
}

/** The head is there: what is asked for needs no body, or is waited for, or is refused. */
function begin(c: Connection): void {
  const head = c.head;
  if (!head.parse(c.data, c.body)) return refuse(c, 400, "Bad Request");
  const host = head.find("host");
  const own = c.socket.localAddress();
  // Names that lead here from a page elsewhere (DNS rebinding) are no business of ours.
  if (host !== own && host !== own + ":" + c.server.igd.port) return refuse(c, 421, "Misdirected Request");
  const length = head.count("content-length");
  if (head.has("transfer-encoding") || length === NO_NUMBER) return refuse(c, 411, "Length Required");
  if (length > c.data.length - c.body) return refuse(c, 413, "Content Too Large");
  const path = head.words[1];
  const method = head.words[0];
  if (method === "GET") {
    const text = describe(c.server.igd, path);
    if (text === "") refuse(c, 404, "Not Found");
    else reply(c, 200, "OK", text);
    return;
  }
  // SUBSCRIBE among them: nothing is evented.
  if (method !== "POST") return refuse(c, 501, "Not Implemented");
  for (let i = 0; i < SERVICES.length; i++) if (path === "/" + SERVICES[i].name) c.service = i;
  if (c.service < 0) return refuse(c, 404, "Not Found");
  if (length > c.have - c.body && head.find("expect").toLowerCase() === "100-continue")
    c.socket.write(bytesOf(CONTINUE));
}

function describe(igd: UpnpIgd, path: string): string {
  if (path === "/igd.xml") return rootDescription(igd.about);
  for (let i = 0; i < SERVICES.length; i++) {
    if (path === "/" + SERVICES[i].name + ".xml") return serviceDescription(SERVICES[i]);
  }
  return "";
}

/** The body is there. */
function call(c: Connection): void {
  const igd = c.server.igd;
  const soap = igd.soap;
  if (!soap.parse(c.data, c.body, c.body + c.head.count("content-length")))
    return refuse(c, 400, "Bad Request");
  const asked = SERVICES[c.service].type + "#" + soap.action;
  const action = c.head.find("soapaction");
  if (action !== '"' + asked + '"' && action !== asked) return refuse(c, 400, "Bad Request");
  const code = igd.limit.take(igd.now()) ? igd.act(c.service, parse4(c.remote) as number) : 501;
  igd.counters.actions++;
  if (code === 0) {
    const name = "u:" + soap.action + "Response";
    const open = "<" + name + ' xmlns:u="' + SERVICES[c.service].type + '">';
    reply(c, 200, "OK", envelope(open + igd.gateway.out + "</" + name + ">"));
    return;
  }
  igd.counters.faults++;
  const error = "<errorCode>" + code + "</errorCode><errorDescription>" + code + "</errorDescription>";
  reply(
    c,
    500,
    "Internal Server Error",
    envelope(
      "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring>" +
        '<detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0">' +
        error +
        "</UPnPError></detail></s:Fault>",
    ),
  );
}

function envelope(body: string): string {
  return (
    '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" ' +
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>' +
    body +
    "</s:Body></s:Envelope>\r\n"
  );
}

function refuse(c: Connection, status: number, reason: string): void {
  c.server.igd.counters.refused++;
  reply(c, status, reason, "");
}

function reply(c: Connection, status: number, reason: string, body: string): void {
  c.out = bytesOf(
    "HTTP/1.1 " +
      status +
      " " +
      reason +
      '\r\nContent-Type: text/xml; charset="utf-8"\r\nConnection: close\r\nServer: ' +
      SERVER +
      "\r\nEXT:\r\nContent-Length: " +
      body.length +
      "\r\n\r\n" +
      body,
  );
  flush(c);
}

/** Writes what there is room for; at the end the connection is closed. */
function flush(c: Connection): void {
  const out = c.out;
  if (!out || c.closed) return;
  while (c.sent < out.length) {
    // All, or as much as there is room for: a write that is refused asks to be told of more.
    let count = c.socket.write(out, c.sent);
    if (count < 0) {
      const room = c.socket.writable();
      if (room <= 0) return;
      count = c.socket.write(out, c.sent, c.sent + room);
      if (count <= 0) return;
    }
    c.sent += count;
  }
  end(c);
}

function late(c: Connection): void {
  c.server.igd.counters.late++;
  c.socket.abort();
  end(c);
}

function end(c: Connection): void {
  c.server.connections.end(c);
}
