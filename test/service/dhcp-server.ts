/** A scripted DHCP server behind a probe: it does what RFC 2131 section 4.3 says unless the test tells it otherwise. */
import type { ExecutionContext } from "ava";
import { createWorld } from "../../ports/sim/index.js";
import type { World } from "../../ports/sim/index.js";
import type { Stack } from "../../stack/core/stack.js";
import { dhcp } from "../../stack/service/dhcp.js";
import type {
  Dhcp,
  DhcpClient,
  DhcpConfiguration,
  DhcpLease,
  DhcpOptions,
} from "../../stack/service/dhcp.js";
import { buildNode } from "../support/network.js";
import type { NetworkOptions, Node } from "../support/network.js";
import { PROBE_IP } from "../support/packets.js";
import { Probe } from "../support/probe.js";
import { address, message, readRequest, replyFrame, seconds } from "./dhcp-messages.js";
import type { Option, ReplyFields, Request } from "./dhcp-messages.js";

export class ScriptedServer {
  /** All that clients have sent. */
  readonly requests: Request[] = [];
  /** What it gives. */
  yiaddr = "10.0.0.50";
  identifier = PROBE_IP;
  leaseTime = 3600;
  /** Besides type, server and lease time. */
  options: Option[] = [address(1, "255.255.255.0"), address(3, PROBE_IP)];
  /** Says nothing. */
  silent = false;
  /** Refuses all requests. */
  refuses = false;
  /** Changes a reply before it is sent; null: nothing is sent. */
  script: ((reply: ReplyFields, request: Request) => ReplyFields | null) | null = null;

  constructor(readonly probe: Probe) {
    probe.onFrame = (bytes) => {
      const request = readRequest(bytes, probe.world.time);
      if (!request) return false;
      this.requests.push(request);
      this.serve(request);
      return true;
    };
  }

  /** Sends a message to the client, in the next instant. */
  say(fields: ReplyFields, to?: string): void {
    const bytes = replyFrame(message(fields), this.identifier, to);
    this.probe.world.at(0, () => this.probe.send(bytes));
  }

  /** The requests since the last call. */
  take(): Request[] {
    return this.requests.splice(0);
  }

  private serve(request: Request): void {
    const { type, xid, ciaddr, requested } = request;
    if (this.silent || (type !== 1 && type !== 3 && type !== 8)) return;
    if (type === 3 && request.server !== undefined && request.server !== this.identifier) return;
    const wanted = ciaddr === "0.0.0.0" ? requested : ciaddr;
    const base = { xid, server: this.identifier, chaddr: request.chaddr };
    let reply: ReplyFields | null;
    if (type === 3 && (this.refuses || wanted !== this.yiaddr)) reply = { ...base, type: 6 };
    else if (type === 8) reply = { ...base, type: 5, ciaddr, options: this.options };
    else {
      const options = [seconds(51, this.leaseTime), ...this.options];
      reply = { ...base, type: type === 1 ? 2 : 5, yiaddr: this.yiaddr, ciaddr, options };
    }
    if (this.script) reply = this.script(reply, request);
    if (reply) this.say(reply, reply.type !== 6 && ciaddr !== "0.0.0.0" ? ciaddr : undefined);
  }
}

export interface ClientTest extends Node {
  probe: Probe;
  server: ScriptedServer;
  dhcp: Dhcp;
  client: DhcpClient;
  /** What `onBound` and `onLost` were called with, as `"bound 10.0.0.50"` and `"lost -110"`. */
  events: string[];
  leases: DhcpLease[];
}

export interface ClientTestOptions extends NetworkOptions {
  client?: DhcpOptions;
  dhcp?: DhcpConfiguration;
  /** The stack's own address: none by default. */
  address?: string;
  /** What is to be set before the client starts. */
  prepare?: (server: ScriptedServer, world: World, stack: Stack) => void;
  mtu?: number;
}

/** A stack with a DHCP client on its one interface, and the server at the other end of it. */
export function clientTest(t: ExecutionContext | null, options: ClientTestOptions = {}): ClientTest {
  const world = options.world ?? createWorld({ seed: 1, scribble: true, ...options.worldOptions });
  const probe = new Probe(world, { mtu: options.mtu });
  const service = dhcp(options.dhcp);
  const components = () => [...(options.components?.() ?? []), service];
  const node = buildNode(t, world, probe, options.address ?? "", { ...options, components });
  const server = new ScriptedServer(probe);
  options.prepare?.(server, world, node.stack);
  const events: string[] = [];
  const leases: DhcpLease[] = [];
  const client = service.open(node.nif, {
    delay: 0,
    onBound: (lease) => {
      leases.push(lease);
      events.push("bound " + lease.address);
    },
    onLost: (code) => events.push("lost " + code),
    ...options.client,
  });
  return { ...node, world, probe, server, dhcp: service, client, events, leases };
}

/** As `clientTest`, and the client has its first lease; the requests that led to it are forgotten. */
export function boundTest(t: ExecutionContext | null, options: ClientTestOptions = {}): ClientTest {
  const test = clientTest(t, options);
  test.world.run(2000);
  if (!test.client.lease) throw new Error("no lease: " + JSON.stringify(test.dhcp.counters));
  test.server.take();
  return test;
}
