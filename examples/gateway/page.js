/** The status page in the browser: asks for state.json each second and shows it. All text goes in as text, never as markup. */
/** @typedef {import("./site.js").Report} Report */
/** @typedef {string | number | globalThis.Node} Child */

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Record<number, string>} */
const PROTOCOLS = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmp" };
/** Samples of the traffic, one a second. */
/** @type {{ down: number, up: number }[]} */
const samples = [];
const KEPT = 120;
/** @type {{ time: number, down: number, up: number } | null} */
let last = null;

/**
 * An element with children, which are elements or text.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {Child[]} children
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** @param {number} value @param {string} unit */
function amount(value, unit) {
  const prefixes = ["", "k", "M", "G", "T"];
  let at = 0;
  while (value >= 1000 && at < prefixes.length - 1) {
    value /= 1000;
    at++;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${prefixes[at]}${unit}`;
}

/** @param {number} seconds */
function span(seconds) {
  if (!Number.isFinite(seconds)) return "for ever";
  const [days, hours, minutes] = [86400, 3600, 60].map((size) => Math.floor(seconds / size));
  if (days > 1) return `${days} days`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.max(0, Math.floor(seconds))} s`;
}

/** @param {string} id @param {string[]} heads @param {Child[][]} rows @param {string} none */
function table(id, heads, rows, none) {
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell, i) => make("td", i === 0 ? { class: "name" } : {}, cell))),
  );
  if (rows.length === 0) find(id).replaceChildren(make("tr", {}, make("td", { class: "none" }, none)));
  else find(id).replaceChildren(make("tr", {}, ...heads.map((head) => make("th", {}, head))), ...body);
}

const end = (/** @type {string} */ address, /** @type {number} */ port) =>
  port ? (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`) : address;

/** @param {Report} state */
function tiles(state) {
  find("interfaces").replaceChildren(
    ...state.interfaces.map((nif) => {
      const up = nif.enabled && nif.running;
      const addresses = nif.addresses.map((one) => make("code", {}, `${one.address}/${one.length}`));
      return make(
        "article",
        { class: `tile ${nif.role} ${up ? "" : "off"}` },
        make("h3", {}, nif.name, make("small", {}, up ? nif.mac : "no carrier")),
        ...(addresses.length > 0 ? addresses : [make("code", {}, "no address yet")]),
        make(
          "dl",
          {},
          make("div", {}, make("dt", {}, "received"), make("dd", {}, amount(nif.counters.rxBytes ?? 0, "B"))),
          make("div", {}, make("dt", {}, "sent"), make("dd", {}, amount(nif.counters.txBytes ?? 0, "B"))),
        ),
      );
    }),
  );
}

/** @param {Report} state */
function traffic(state) {
  const wan = state.interfaces.find(({ role }) => role === "wan");
  const counters = wan ? wan.counters : {};
  const now = { time: state.time, down: counters.rxBytes ?? 0, up: counters.txBytes ?? 0 };
  if (last && now.time > last.time) {
    const factor = 8000 / (now.time - last.time);
    samples.push({
      down: Math.max(0, now.down - last.down) * factor,
      up: Math.max(0, now.up - last.up) * factor,
    });
    if (samples.length > KEPT) samples.shift();
  }
  last = now;
  const latest = samples.at(-1) ?? { down: 0, up: 0 };
  find("rates").replaceChildren(
    make("span", { class: "key-down" }, `↓ ${amount(latest.down, "bit/s")} `),
    make("span", { class: "key-up" }, `↑ ${amount(latest.up, "bit/s")}`),
  );
  const top = Math.max(1000, ...samples.map(({ down, up }) => Math.max(down, up))) * 1.1;
  const point =
    (/** @type {"up" | "down"} */ key) =>
    (/** @type {{ down: number, up: number }} */ sample, /** @type {number} */ i) =>
      `${600 - (samples.length - 1 - i) * (600 / (KEPT - 1))},${118 - (sample[key] / top) * 114}`;
  const path = (/** @type {"up" | "down"} */ key, /** @type {boolean} */ closed) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", "path");
    const points = samples.map(point(key));
    const first = points.length > 0 ? points[0].split(",")[0] : 0;
    element.setAttribute("class", key);
    element.setAttribute(
      "d",
      points.length > 1 ? `M${points.join("L")}${closed ? `L600,118L${first},118Z` : ""}` : "",
    );
    return element;
  };
  find("traffic").replaceChildren(path("down", true), path("up", false));
}

/** @param {Report} state */
function show(state) {
  find("summary").textContent =
    `${state.domain} · up ${span((state.time - state.started) / 1000)} · ${amount(state.memory.used ?? 0, "B")} of packet memory in use`;
  tiles(state);
  traffic(state);
  find("lease-count").textContent = String(state.leases.length + state.leases6.length);
  table(
    "leases",
    ["name", "address", "hardware", "left"],
    [
      ...state.leases.map((lease) => [
        lease.hostName || "—",
        lease.address,
        (lease.hardware.match(/../g) ?? []).join(":"),
        span(lease.left ?? Infinity),
      ]),
      ...state.leases6.map((lease) => [
        "—",
        lease.value,
        lease.client.slice(0, 17) + "…",
        span(lease.left ?? Infinity),
      ]),
    ],
    "Nobody has asked for an address yet.",
  );
  const { count, limit, list } = state.flows;
  find("flow-count").textContent = `${count} of ${limit}`;
  find("flow-meter").style.width = `${Math.min(100, (100 * count) / limit)}%`;
  table(
    "flows",
    ["", "from", "to", "left"],
    [...list]
      .reverse()
      .slice(0, 12)
      .map((flow) => [
        PROTOCOLS[flow.protocol] ?? flow.protocol,
        end(flow.source, flow.sourcePort),
        end(flow.destination, flow.destinationPort),
        span(flow.expires / 1000),
      ]),
    "Nothing is under way.",
  );
  table(
    "forwards",
    ["", "port", "leads to", "by"],
    state.forwards.map((one) => [one.protocol, one.port, end(one.to, one.toPort), one.by]),
    "All are closed.",
  );
  table(
    "services",
    ["", "state"],
    state.services.map((one) => [one.name, one.state]),
    "None is on.",
  );
  find("refused-count").textContent = String(state.counters.firewall?.dropped ?? 0);
  table(
    "refused",
    ["", "from", "to", "when"],
    state.refused.map(({ flow, time }) => [
      PROTOCOLS[flow.protocol] ?? flow.protocol,
      end(flow.source, flow.sourcePort),
      end(flow.destination, flow.destinationPort),
      `${span((state.time - time) / 1000)} ago`,
    ]),
    "Nobody has knocked.",
  );
  find("counters").replaceChildren(
    ...Object.entries(state.counters)
      .filter(([, counts]) => Object.keys(counts).length > 0)
      .map(([name, counts]) =>
        make(
          "div",
          {},
          make("b", {}, name),
          ...Object.entries(counts).map(([key, value]) =>
            make("span", {}, key, make("em", {}, value.toLocaleString("en"))),
          ),
        ),
      ),
  );
}

async function turn() {
  try {
    const response = await fetch("/state.json");
    show(await response.json());
    find("alive").className = "dot";
    find("alive").textContent = "live";
  } catch {
    find("alive").className = "dot lost";
    find("alive").textContent = "no answer";
  }
  setTimeout(() => void turn(), 1000);
}

void turn();
