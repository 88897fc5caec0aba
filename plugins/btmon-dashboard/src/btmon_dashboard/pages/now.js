// SPDX-License-Identifier: GPL-3.0-or-later
// The page Now: takes each event of /api/events and changes what is there. Rows keep their elements, so the keyboard's
// focus and a reader's place stay.

import { bands, describe, drawFlow } from "./flow.js";
import { balance, ownShare } from "./house.js";
import { ago, element, kilowattHours, money, scaled, setText, withUnit } from "./text.js";

const $ = (id) => document.getElementById(id);
const MIN_WATTS = 0.5; // below this a circuit that has used nothing today is idle
const MIN_SCALE = 20; // watts of the height of a small picture, at least
const rows = new Map();
const tiles = new Map();
let recent = { times: [], watts: {} };
let last = null;
let flow = [[], []];

function node(role, title, watts, today, way) {
  let made = $(`node-${role}`);
  if (!made) {
    const power = element("dd", { class: "power" });
    made = element("div", { id: `node-${role}`, class: `node ${role}` }, element("dt"), power, element("dd", { class: "today" }));
    $("parts").append(made);
  }
  const [value, unit] = scaled(watts, "W");
  setText(made.children[0], title);
  if (made.children[1].dataset.shown !== value + unit) {
    made.children[1].replaceChildren(value, element("small", {}, unit));
    made.children[1].dataset.shown = value + unit;
  }
  setText(made.children[2], today);
  made.dataset.way = way ?? "";
  return made;
}

function showHouse(channels, { bill, grid }) {
  const parts = balance(channels, grid);
  $("house").hidden = !parts.isKnown;
  if (!parts.isKnown) return;
  const present = (role, watts) => (parts.has[role] ? Math.abs(watts) : null);
  if (parts.isThere.solar) node("solar", "Solar", present("solar", parts.solar.watts), `${kilowattHours(parts.solar.today)} today`);
  if (parts.isThere.battery) {
    const title = parts.battery.watts > 0 ? "Into the battery" : "From the battery";
    node("battery", title, present("battery", parts.battery.watts), `${kilowattHours(parts.battery.taken)} in, ${kilowattHours(parts.battery.given)} out`);
  }
  const spent = bill ? `, ${money(bill.today.total, bill.currency)}` : "";
  node("house", "House", parts.house.watts, `${kilowattHours(parts.house.today)} today${spent}`);
  if (parts.isThere.grid) {
    const isExport = parts.grid.watts < 0;
    const today = `${kilowattHours(parts.grid.taken)} in, ${kilowattHours(parts.grid.given)} out`;
    node("grid", isExport ? "To the grid" : "From the grid", present("grid", parts.grid.watts), today, isExport ? "export" : "import");
  }
  $("parts").dataset.nodes = $("parts").querySelectorAll(".node").length;
  flow = bands(parts, channels.filter((one) => one.role === "").map(({ name, watts }) => ({ name, watts })));
  drawFlow($("flow"), flow);
  setText($("flow-text"), describe(flow));
  setText($("own"), ownShare(parts));
  setText($("cycle"), bill ? `This billing cycle: ${money(bill.cycle.total, bill.currency)} so far.` : "");
}

function row(id, one) {
  if (rows.has(id)) return rows.get(id);
  const link = element("a", { href: `/history#c=${encodeURIComponent(id)}` }, one.name);
  const name = element("div", { class: "name" }, link);
  if (one.area) name.append(element("span", { class: "area" }, one.area));
  const fill = element("i");
  name.append(element("div", { class: "track", "aria-hidden": "true" }, fill));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 28");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.append(path);
  const watts = element("div", { class: "watts" });
  const wh = element("div", { class: "wh" });
  const cost = element("div", { class: "cost" });
  const item = element("li", { class: one.role, "data-id": id }, name, svg, watts, wh, cost);
  const made = { item, fill, path, watts, wh, cost };
  rows.set(id, made);
  return made;
}

function showRow(id, one, most) {
  const made = row(id, one);
  const isGift = one.role === "solar" && one.watts !== null; // whichever way its sensor is clipped on
  setText(made.watts, withUnit(isGift ? Math.abs(one.watts) : one.watts, "W"));
  setText(made.wh, kilowattHours(one.role === "solar" ? Math.abs(one.wh_today) : one.wh_today));
  const hasCost = last.bill && one.cost_today !== null;
  setText(made.cost, hasCost ? money(one.cost_today, last.bill.currency) : "");
  made.fill.style.width = `${(100 * Math.abs(one.watts ?? 0)) / most}%`;
  made.path.setAttribute("d", sparkline(recent.watts[id] ?? [], isGift));
  return made.item;
}

// one line from the lowest to the highest of the last hour; a minute without samples is a gap
function sparkline(found, isGift) {
  const isTurned = isGift && found.reduce((sum, value) => sum + (value ?? 0), 0) < 0;
  const values = isTurned ? found.map((value) => (value === null ? null : -value)) : found;
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return "";
  const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
  const scale = Math.max(high - low, MIN_SCALE); // of a few watts, a line at the bottom
  let isOpen = false;
  return values
    .map((value, at) => {
      const step = value === null ? "" : `${isOpen ? "L" : "M"}${((100 * at) / (values.length - 1)).toFixed(1)} ${(26 - (24 * (value - low)) / scale).toFixed(1)}`;
      isOpen = value !== null;
      return step;
    })
    .join("");
}

function arrange(list, items) {
  items.forEach((item, at) => {
    if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
  });
}

function heads() {
  return $("heads") ?? element("li", { id: "heads", class: "heads", "aria-hidden": "true" },
    element("div", {}, ""), element("div", {}, "last hour"), element("div", { class: "watts" }, "now"), element("div", { class: "wh" }, "today"), element("div", { class: "cost" }, "cost today"));
}

function showCircuits(meters) {
  const found = meters.flatMap((meter) => meter.channels.map((one) => [`${meter.serial}_${one.channel}`, one]));
  const isIdle = ([, one]) => !one.named && Math.abs(one.watts ?? 0) < MIN_WATTS && Math.abs(one.wh_today) < 1;
  const size = ([, one]) => Math.abs(one.watts ?? 0);
  const most = Math.max(1, ...found.map(size));
  const busy = found.filter((one) => !isIdle(one)).sort((a, b) => size(b) - size(a));
  const idle = found.filter(isIdle);
  $("circuits").hidden = found.length === 0;
  $("circuits").dataset.costs = String(Boolean(last.bill));
  arrange($("busy"), [heads(), ...busy.map(([id, one]) => showRow(id, one, most))]);
  $("idle").hidden = idle.length === 0;
  setText($("idle").firstElementChild, idle.length === 1 ? "One channel measures nothing" : `${idle.length} channels measure nothing`);
  arrange($("idle").lastElementChild, idle.map(([id, one]) => showRow(id, one, most)));
}

function showTiles(meters) {
  const found = meters.flatMap((meter) => [
    ...(meter.volts === null ? [] : [[`${meter.serial}_volts`, meters.length > 1 ? `Voltage, ${meter.serial}` : "Voltage", meter.volts.toFixed(1), "V"]]),
    ...meter.sensors.filter(isUsed).map((one) => [`${meter.serial}_${one.channel}`, one.name, reading(one), one.unit]),
  ]);
  $("sensors").hidden = found.length === 0;
  for (const [id, name, value, unit] of found) {
    if (!tiles.has(id)) {
      const tile = element("div", { class: "card" }, element("dt", {}, name), element("dd", {}, "", element("small", {}, unit)));
      tiles.set(id, tile);
      $("tiles").append(tile);
    }
    const text = tiles.get(id).lastElementChild.firstChild;
    if (text.data !== value) text.data = value;
  }
  const ids = new Set(found.map(([id]) => id));
  for (const [id, tile] of [...tiles].filter(([id]) => !ids.has(id))) {
    tile.remove();
    tiles.delete(id);
  }
}

// an input for pulses to which nothing is wired counts nothing
function isUsed(sensor) {
  return sensor.unit !== "" || sensor.value !== 0;
}

function reading(sensor) {
  if (sensor.value === null) return "–";
  const digits = sensor.unit === "°" || sensor.class === "gas" ? 1 : 0;
  return sensor.value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

const isSilent = (meter) => Date.now() / 1000 - meter.time > meter.silent_after;

// the power of a meter that is silent is not shown as if it were the present
const ofThePresent = (meter) => (isSilent(meter) ? { ...meter, volts: null, sensors: [], channels: meter.channels.map((one) => ({ ...one, watts: null })) } : meter);

function showNotices() {
  if (!last) return;
  const now = Date.now() / 1000;
  const silent = last.meters.filter(isSilent);
  const texts = silent.map((meter) => `Meter ${meter.serial} is silent: its last reading came ${ago(now - meter.time)}.`);
  const shown = [...$("notices").children].map((one) => one.textContent);
  if (texts.join() !== shown.join()) $("notices").replaceChildren(...texts.map((text) => element("p", { class: "notice" }, text)));
}

function show(news) {
  last = news;
  $("empty").hidden = news.meters.length > 0;
  const meters = news.meters.map(ofThePresent);
  showHouse(meters.flatMap((meter) => meter.channels), news);
  showCircuits(meters);
  showTiles(meters);
  showNotices();
}

function connect() {
  const stream = new EventSource("/api/events");
  const state = (name, text) => {
    $("connection").dataset.state = name;
    setText($("connection"), text);
  };
  stream.addEventListener("now", (event) => {
    state("live", "live");
    show(JSON.parse(event.data));
  });
  stream.addEventListener("error", () => {
    state("lost", "no connection");
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
}

async function refresh() {
  try {
    const answer = await fetch("/api/recent");
    if (answer.ok) recent = await answer.json();
    if (last) show(last);
  } catch {
    // the connection's state shows it
  }
}

await refresh();
connect();
setInterval(refresh, 60_000);
setInterval(() => last && show(last), 10_000);
new ResizeObserver(() => drawFlow($("flow"), flow)).observe($("house"));
