/** The page of the device: asks for its state twice a second and draws it. Plain JavaScript, as it runs in the browser. */

/** @typedef {import("./site.js").State} State */
/** @typedef {import("./history.js").Sample} Sample */

/** Milliseconds between two questions, and after which an answer counts as missing. */
const INTERVAL = 500;
const PATIENCE = 4000;
/** What the plots show: the last two minutes. */
const SPAN = 120_000;
const MEGABYTES = 10;

const DELAYS = [0, 1, 5, 20, 50, 100, 300];
const RATES = [0.1, 1, 10, 50, 100, 1000];
const LOSSES = [0, 0.1, 1, 3, 10, 30];

/** @type {Sample[]} */
let samples = [];
/** @type {State | null} */
let latest = null;
/** The counters of the last answer, by component and name. */
let before = new Map();
let paused = false;

/** @param {string} id */
function get(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @param {string} id
 * @param {string} text
 */
function write(id, text) {
  const target = get(id);
  if (target.textContent !== text) target.textContent = text;
}

/**
 * An element with a class, text or children.
 *
 * @param {string} kind
 * @param {string} className
 * @param {...(string | Node)} content
 */
function element(kind, className, ...content) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** @param {number} value */
function count(value) {
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
}

/** @param {number} bytes */
function size(bytes) {
  return bytes < 1 << 20 ? `${count(bytes / 1024)} KiB` : `${count(bytes / (1 << 20))} MiB`;
}

/**
 * Fills a table. Numbers stand at the right; a cell may be a node.
 *
 * @param {string} id
 * @param {string[]} names
 * @param {(string | number | Node)[][]} rows
 */
function table(id, names, rows) {
  const right = names.map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const head = element("tr", "", ...names.map((name, i) => element("th", right[i] ? "number" : "", name)));
  const body = rows.map((row) =>
    element(
      "tr",
      "",
      ...row.map((value, i) =>
        element("td", right[i] ? "number" : "", typeof value === "number" ? count(value) : value),
      ),
    ),
  );
  get(id).replaceChildren(head, ...body);
}

/* Plots */

/**
 * @param {string} kind
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function shape(kind, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The next round number, for the top of a scale. @param {number} value */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 3, 4, 5, 6, 8, 10].find((digit) => digit * power >= value * 0.999) ?? 10);
}

/** Where the pointer is over a plot, as a share of its width. @type {Map<string, number>} */
const pointers = new Map();

/** Time and value of the samples that have one, in runs without gaps. @param {"in" | "out" | "tcp" | "ping"} key */
function runs(key) {
  /** @type {[number, number][][]} */
  const found = [];
  let open = false;
  for (const sample of samples) {
    const value = sample[key];
    if (value === null) {
      open = false;
      continue;
    }
    if (!open) found.push([]);
    found[found.length - 1].push([sample.time, value]);
    open = true;
  }
  return found;
}

/**
 * @param {string} id
 * @param {{ key: "in" | "out" | "tcp" | "ping", color: string, fill?: boolean }[]} series
 * @param {number} least the top of the scale at the least
 */
function plot(id, series, least) {
  const svg = get(id);
  const { clientWidth: width, clientHeight: height } = svg;
  const [left, right, top, bottom] = [38, 8, 8, 20];
  const now = latest ? latest.time : 0;
  const values = samples.flatMap((sample) => series.map(({ key }) => sample[key] ?? 0));
  const most = roundUp(Math.max(least, ...values));
  const x = (/** @type {number} */ time) => width - right - ((now - time) / SPAN) * (width - left - right);
  const y = (/** @type {number} */ value) => height - bottom - (value / most) * (height - top - bottom);
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    const at = y(most * share);
    parts.push(shape("line", { x1: left, x2: width - right, y1: at, y2: at }));
    const label = { x: left - 6, y: at + 4, "text-anchor": "end" };
    parts.push(shape("text", label, count(most * share)));
  }
  for (const seconds of width < 440 ? [120, 60, 0] : [120, 90, 60, 30, 0]) {
    const at = x(now - seconds * 1000);
    const anchor = seconds === 0 ? "end" : seconds === 120 ? "start" : "middle";
    const label = { x: at, y: height - 5, "text-anchor": anchor };
    parts.push(shape("text", label, seconds === 0 ? "now" : `${seconds} s ago`));
  }
  for (const { key, color, fill } of series) {
    for (const run of runs(key)) {
      const points = run.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join("L");
      if (fill) {
        const style = `stroke: none; fill: color-mix(in srgb, var(${color}) 14%, transparent)`;
        const [first, last] = [x(run[0][0]), x(run[run.length - 1][0])];
        parts.push(shape("path", { d: `M${points}L${last},${y(0)}L${first},${y(0)}Z`, style }));
      }
      parts.push(shape("path", { d: `M${points}`, style: `stroke: var(${color})` }));
    }
  }
  const pointer = pointers.get(id);
  if (pointer !== undefined && samples.length > 0) {
    const time = now - ((width - right - pointer * width) / (width - left - right)) * SPAN;
    const near = samples.reduce((a, b) => (Math.abs(b.time - time) < Math.abs(a.time - time) ? b : a));
    const at = x(near.time);
    const texts = series.map(({ key }) => (near[key] === null ? "none" : count(near[key])));
    const anchor = at > width / 2 ? "end" : "start";
    parts.push(shape("line", { class: "cursor", x1: at, x2: at, y1: top, y2: height - bottom }));
    const label = { x: at + (anchor === "end" ? -6 : 6), y: top + 10, "text-anchor": anchor };
    const ago = Math.round((now - near.time) / 1000);
    parts.push(shape("text", label, `${texts.join(" / ")}, ${ago} s ago`));
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...parts);
}

function drawPlots() {
  plot(
    "rate",
    [
      { key: "out", color: "--out", fill: true },
      { key: "in", color: "--in" },
    ],
    1,
  );
  plot(
    "rtt",
    [
      { key: "tcp", color: "--tcp" },
      { key: "ping", color: "--ping" },
    ],
    10,
  );
}

/* What the state says */

/** @param {State} state */
function showPath({ place, cable }) {
  const { address, gateway, door, tap, capture } = place;
  write("capture", capture ? `All of them go to ${capture}.` : "");
  get("gateway").hidden = !gateway;
  get("cable").hidden = !cable;
  write("deviceAt", `${address || "no address yet"}\nport 80`);
  write("wireName", cable ? (cable.up ? "simulated Ethernet" : "unplugged") : `TAP ${tap}`);
  get("wire").classList.toggle("cut", cable ? !cable.up : false);
  write("gatewayAt", `${door}\n${gateway}`);
  write("stop1", gateway ? "your browser" : "this machine's kernel");
  const plain = /** @type {HTMLElement} */ (document.querySelector(".hop.plain"));
  plain.hidden = !gateway;
  if (!cable) return;
  choose("delay", DELAYS, cable.delay, "ms");
  choose("rate", RATES, cable.rate, "Mbit/s");
  choose("loss", LOSSES, cable.loss, "%");
}

/**
 * @param {string} name
 * @param {number[]} values
 * @param {number} value
 * @param {string} unit
 */
function choose(name, values, value, unit) {
  const select = /** @type {HTMLSelectElement} */ (document.querySelector(`select[name=${name}]`));
  if (select === document.activeElement || select.value === String(value)) return;
  const all = [...new Set([...values, value])].sort((a, b) => a - b);
  select.replaceChildren(
    ...all.map((each) => new Option(`${each} ${unit}`, String(each), false, each === value)),
  );
}

/** @param {State} state */
function showTiles({ device, started, time }) {
  const sample = samples.at(-1);
  const tcp = device.counters.tcp ?? {};
  const { used, packetMemory } = device.memory;
  const seconds = Math.floor((time - started) / 1000);
  const lost = (100 * (tcp.retransmitted ?? 0)) / Math.max(1, tcp.sent ?? 0);
  /** @type {[name: string, value: string, unit: string][]} */
  const tiles = [
    ["sends", count(sample?.out ?? 0), "Mbit/s"],
    ["receives", count(sample?.in ?? 0), "Mbit/s"],
    ["round trip", sample?.tcp ? count(sample.tcp) : "–", "ms"],
    ["TCP segments sent", count(tcp.sent ?? 0), ""],
    ["retransmitted", count(tcp.retransmitted ?? 0), `${lost.toFixed(2)} %`],
    ["packet memory", size(used), `of ${size(packetMemory)}`],
    ["up for", `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`, "min"],
  ];
  get("tiles").replaceChildren(
    ...tiles.map(([name, value, unit]) =>
      element("div", "", element("span", "", name), element("b", "", value), element("small", "", unit)),
    ),
  );
}

/** @param {State} state */
function showTables({ device }) {
  if (!paused) {
    const rows = device.frames.map((frame) => [
      new Date(frame.time).toISOString().slice(11, 23),
      element("span", frame.direction, frame.direction === "out" ? "→ out" : "← in"),
      frame.length,
      frame.kind,
      frame.text,
    ]);
    table("frames", ["time, UTC", "", "bytes", "protocol", ""], rows);
  }
  table(
    "sockets",
    ["", "state", "local", "remote", "to read", "unacknowledged", "cwnd", "round trip, ms", "timeout, ms"],
    device.sockets.map((socket) => {
      const open = socket.protocol === "tcp" && socket.state !== "LISTEN";
      const own = open ? [socket.congestionWindow, socket.roundTrip, socket.timeout] : ["", "", ""];
      const local = `${socket.localAddress}:${socket.localPort}`;
      const remote = socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : "";
      return [socket.protocol, socket.state, local, remote, socket.receiveQueue, socket.sendQueue, ...own];
    }),
  );
  table(
    "interfaces",
    ["name", "state", "MAC", "MTU", "frames in", "frames out"],
    device.interfaces.map((nif) => {
      const state = !nif.enabled ? "off" : nif.running ? "up" : "no carrier";
      return [nif.name, state, nif.mac, nif.mtu, nif.counters.rxFrames, nif.counters.txFrames];
    }),
  );
  table(
    "addresses",
    ["interface", "address", "state", "from"],
    device.addresses.map(({ interface: nif, address, length, state, origin }) => {
      return [nif, `${address}/${length}`, state, origin];
    }),
  );
  table(
    "routes",
    ["to", "by", "interface", "metric", "from"],
    device.routes.map((route) => [
      route.prefix,
      route.gateway || "directly",
      route.interface,
      route.metric,
      route.origin,
    ]),
  );
  table(
    "neighbours",
    ["address", "MAC", "interface", "state"],
    device.neighbours.map((each) => [each.address, each.mac || "?", each.interface, each.state]),
  );
}

/** @param {State} state */
function showCounters({ device }) {
  const now = new Map();
  const groups = [];
  for (const [component, counters] of Object.entries(device.counters)) {
    const lines = Object.entries(counters).map(([name, value]) => {
      const key = `${component}.${name}`;
      now.set(key, value);
      const moved = before.size > 0 && before.get(key) !== value;
      return element(
        "div",
        moved ? "moved" : "",
        element("span", "", name),
        element("span", "", count(value)),
      );
    });
    if (lines.length > 0) groups.push(element("section", "", element("h3", "", component), ...lines));
  }
  before = now;
  get("counters").replaceChildren(...groups);
}

/* The conversation */

/** @param {number} since */
async function ask(since) {
  const signal = AbortSignal.timeout(PATIENCE);
  const response = await fetch(`state.json?since=${since}`, { cache: "no-store", signal });
  return /** @type {Promise<State>} */ (response.json());
}

async function update() {
  const state = await ask(samples.at(-1)?.time ?? 0);
  // Another program on this address: its clock and its past are its own.
  if (latest && latest.started !== state.started) samples = [];
  latest = state;
  samples = [...samples, ...state.samples].filter(({ time }) => state.time - time < SPAN);
  showPath(state);
  showTiles(state);
  drawPlots();
  showTables(state);
  showCounters(state);
}

async function converse() {
  const status = get("status");
  const text = /** @type {HTMLElement} */ (status.querySelector("span"));
  let answered = Date.now();
  for (;;) {
    try {
      await update();
      answered = Date.now();
      status.className = "live";
      text.textContent = "live";
    } catch {
      status.className = "silent";
      text.textContent = `no answer for ${Math.round((Date.now() - answered) / 1000)} s`;
    }
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 4 * INTERVAL : INTERVAL));
  }
}

/* What one can do */

/**
 * @param {string} verb
 * @param {() => Promise<number>} action moves bytes and says how many
 */
async function move(verb, action) {
  const buttons = /** @type {HTMLButtonElement[]} */ ([get("download"), get("upload")]);
  for (const button of buttons) button.disabled = true;
  const start = performance.now();
  try {
    const bytes = await action();
    const seconds = (performance.now() - start) / 1000;
    const rate = (bytes * 8) / seconds / 1e6;
    write("transfer", `${verb} ${count(bytes / 1e6)} MB in ${count(seconds)} s: ${count(rate)} Mbit/s`);
  } catch (error) {
    write("transfer", `not ${verb}: ${/** @type {Error} */ (error).message}`);
  }
  for (const button of buttons) button.disabled = false;
}

async function download() {
  const response = await fetch(`bytes?n=${MEGABYTES}000000`, { cache: "no-store" });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes += value.length;
    write("transfer", `${count(bytes / 1e6)} of ${MEGABYTES} MB`);
  }
}

async function upload() {
  write("transfer", `${MEGABYTES} MB are on their way`);
  const response = await fetch("bytes", { method: "POST", body: new Uint8Array(MEGABYTES * 1e6) });
  return (await response.json()).bytes;
}

/** @param {string} query */
async function adjust(query) {
  await fetch(`cable?${query}`, { method: "POST" });
}

get("download").addEventListener("click", () => void move("downloaded", download));
get("upload").addEventListener("click", () => void move("uploaded", upload));
get("unplug").addEventListener("click", () => void adjust("unplug=3000"));
get("cable").addEventListener("change", (event) => {
  const { name, value } = /** @type {HTMLSelectElement} */ (event.target);
  void adjust(`${name}=${value}`);
});
get("pause").addEventListener("click", () => {
  paused = !paused;
  get("pause").setAttribute("aria-pressed", String(paused));
  write("pause", paused ? "go on" : "pause");
});
for (const id of ["rate", "rtt"]) {
  get(id).addEventListener("pointermove", (event) => {
    const box = get(id).getBoundingClientRect();
    pointers.set(id, (event.clientX - box.left) / box.width);
    drawPlots();
  });
  get(id).addEventListener("pointerleave", () => {
    pointers.delete(id);
    drawPlots();
  });
}
addEventListener("resize", drawPlots);
void converse();
