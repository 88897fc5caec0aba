// SPDX-License-Identifier: GPL-3.0-or-later
// The page History: the view is in the address; what it shows is asked for in series.js, drawn in plot.js, summed in figures.js.

import { barStep, bounds, describeSpan, lineStep, setCycles, SPANS } from "./calendar.js";
import { csv, png, save } from "./export.js";
import { costFigures, energyFigures, sensorFigures, showTable } from "./figures.js";
import { draw } from "./plot.js";
import { KINDS, scaleOf } from "./scales.js";
import { askBefore, askCosts, askSeries } from "./series.js";
import { element, kilowattHours, money, setText } from "./text.js";
import { kindOf, readView, writeView } from "./view.js";

const $ = (id) => document.getElementById(id);
const HUES = ["--hue-1", "--hue-2", "--hue-3", "--hue-4", "--hue-5", "--hue-6", "--hue-7", "--hue-8"];
const MOST_CHANNELS = 6;
const HINT = "Drag across the picture to look closer.";
let known = [];
let currency = null;
let view = readView(location.hash);
let forget = () => {};
let latest = 0;
let visible = [];
let costs = new Map(); // of bars of energy, for what is said of each

function go(change) {
  view = { ...view, ...change };
  if (!view.isFree && !change.range) view.range = bounds(view.span, view.moment ?? Date.now() / 1000);
  history.pushState(null, "", writeView(view));
  show();
}

// grid and sun have the colours that they have on the page Now, the first one of each; others go by the order in which
// they were chosen
function hueName(id) {
  const roles = ["grid", "solar"];
  const roleOf = (channel) => roles.findIndex((role) => known.find((one) => one.role === role)?.id === channel);
  if (roleOf(id) >= 0) return HUES[roleOf(id)];
  const others = view.channels.filter((channel) => roleOf(channel) < 0);
  return HUES[roles.length + (others.indexOf(id) % (HUES.length - roles.length))];
}

const scaleNow = () => scaleOf(kindNow(), visibleChannels()[0]?.unit, currency);
const visibleChannels = () => view.channels.map((id) => known.find((one) => one.id === id)).filter(Boolean);
const hasCost = (one) => one.role === "" || one.role === "grid"; // of the supply, only the grid costs
const hasOneMain = () => known.filter((one) => one.role === "grid").length === 1;
// the house stands for its supply, once: what each of several mains costs is not known
const costing = (channels) => channels.filter(hasCost).filter((one, at, all) => one.role !== "grid" || all.findIndex((other) => other.role === "grid") === at);

// sensors have a kind of their own; cost is there with a tariff
function kindNow() {
  const sensor = visibleChannels().find((one) => one.sensor);
  if (sensor) return sensor.sensor;
  const kind = kindOf(view);
  return kind === "cost" && !currency ? "energy" : kind;
}

function stepNow(kind) {
  const named = view.isFree ? barStep(view.range) : SPANS[view.span].bars;
  if (kind === "power" || kind === "mean") return lineStep(view.range, kind === "mean");
  return kind === "cost" && named === "minute" ? "hour" : named;
}

async function show() {
  const request = ++latest;
  showControls();
  const kind = kindNow();
  const channels = kind === "cost" ? costing(visibleChannels()) : visibleChannels();
  const asked = { kind, step: stepNow(kind), range: view.range };
  try {
    const found = await askSeries(channels, asked);
    const before = view.isCompared && channels.length ? await askBefore(channels, view, asked) : [];
    if (request !== latest) return; // a later view was asked for meanwhile
    visible = channels.map((one, at) => ({ ...one, ...found[at], before: before[at] }));
    showPicture(visible, asked);
    showFigures(visible, asked);
    await showCosts(channels, asked, request);
    notice(channels.length ? "" : "What the sun or a battery gives costs nothing: choose the grid or circuits.");
  } catch (error) {
    if (request === latest) notice(`The history could not be read: ${error.message}`);
  }
}

// the bars are there before it is known what they cost
async function showCosts(channels, asked, request) {
  costs = new Map();
  if (asked.kind !== "energy" || !currency || asked.step === "minute") return;
  const found = await askCosts(channels.filter((one) => one.role === "" || (one.role === "grid" && hasOneMain())), asked);
  if (request === latest) costs = found;
}

function noteOf(id, time) {
  const cost = costs.get(id)?.get(time);
  return cost === undefined ? "" : ` (${money(cost, currency)})`;
}

function showPicture(series, { kind, step }) {
  forget();
  const style = getComputedStyle(document.documentElement);
  const scale = scaleNow();
  const drawn = series.flatMap((one) => {
    const hue = style.getPropertyValue(hueName(one.id)).trim();
    const values = (of) => ({ times: of.times, values: scale.values(of) });
    const before = one.before ? [{ name: `${one.name} before`, hue: `${hue}70`, isBefore: true, ...values(one.before) }] : [];
    return [...before, { name: one.isHouse ? "House" : one.name, hue, note: (time) => noteOf(one.id, time), ...values(one) }];
  });
  const hint = view.isCompared ? `${HINT} Paler is what was before.` : HINT;
  const onZoom = (range) => go({ range, isFree: true });
  forget = draw($("plot"), drawn, { scale, range: view.range, step, onZoom, onValues: (text) => setText($("values"), text || hint) });
  setText($("values"), hint);
  const names = series.map((one) => one.name).join(", ");
  $("plot").setAttribute("aria-label", `${KINDS[kind] ?? "Values"} of ${names}, ${describeSpan(view.isFree ? "" : view.span, view.range)}; the table below has the sums`);
}

function showFigures(series, { kind, step }) {
  const about = { kind, step, isCompared: view.isCompared, bill: series[0]?.bill, currency, scale: scaleNow() };
  const figures = kind === "cost" ? costFigures : kind === "power" || kind === "energy" ? energyFigures : sensorFigures;
  const [titles, cells] = series.length ? figures(series, about) : [["Circuit"], () => []];
  showTable($("figures"), titles, series.map((one) => [one.isHouse ? "House" : one.name, hueName(one.id), cells(one)]));
  setText($("bill"), kind === "cost" && about.bill ? describeBill(about.bill) : "");
}

function describeBill(sum) {
  const parts = [`${money(sum.cost, currency)} for ${kilowattHours(sum.wh_import)} from the grid`];
  if (sum.wh_export >= 1) parts.push(`${money(-sum.credit, currency)} for ${kilowattHours(sum.wh_export)} to the grid`);
  if (sum.charge) parts.push(`${money(sum.charge, currency)} standing charge`);
  return `The house: ${parts.join(", ")}; ${money(sum.total, currency)} in all.`;
}

function choose(parent, names, chosen, onChoice) {
  if (!parent.children.length) {
    for (const [id, name] of Object.entries(names)) {
      const button = element("button", { type: "button", "data-id": id }, name);
      button.addEventListener("click", () => onChoice(id));
      parent.append(button);
    }
  }
  for (const button of parent.children) button.setAttribute("aria-pressed", String(button.dataset.id === chosen));
}

function showControls() {
  const names = Object.fromEntries(Object.entries(SPANS).map(([id, span]) => [id, span.name]));
  choose($("spans"), names, view.isFree ? "" : view.span, (span) => go({ span, isFree: false, kind: view.kind === "cost" ? "cost" : null }));
  const kinds = Object.fromEntries(Object.entries(KINDS).filter(([kind]) => kind !== "cost" || currency));
  choose($("kinds"), kinds, kindNow(), (kind) => go({ kind }));
  $("kinds").hidden = visibleChannels().some((one) => one.sensor);
  $("before").setAttribute("aria-pressed", String(view.isCompared));
  setText($("span"), describeSpan(view.isFree ? "" : view.span, view.range));
  $("later").disabled = view.range[1] > Date.now() / 1000;
  for (const input of document.querySelectorAll(".legend input")) {
    input.checked = view.channels.includes(input.value);
    input.style.setProperty("--hue", input.checked ? `var(${hueName(input.value)})` : "");
    const isOther = known.find((one) => one.id === input.value)?.unit !== visibleChannels()[0]?.unit; // it takes their place
    input.disabled = !input.checked && !isOther && view.channels.length >= MOST_CHANNELS;
  }
}

function move(by) {
  const [from, to] = view.range;
  if (view.isFree) go({ range: [from + by * (to - from), to + by * (to - from)] });
  else {
    const range = bounds(view.span, view.moment ?? Date.now() / 1000, by);
    const isPresent = range[1] > Date.now() / 1000;
    go({ moment: isPresent ? null : range[1] - 1 });
  }
}

// circuits and sensors do not share an axis, and of sensors only those of one unit do
function choice(one, isChosen) {
  const others = view.channels.filter((id) => id !== one.id && known.find((other) => other.id === id)?.unit === one.unit);
  return isChosen ? [...others, one.id] : view.channels.filter((id) => id !== one.id);
}

function showLegend() {
  const item = (one) => {
    const input = element("input", { type: "checkbox", value: one.id });
    input.addEventListener("change", () => go({ channels: choice(one, input.checked) }));
    return element("li", {}, element("label", {}, input, one.name));
  };
  const sensors = known.filter((one) => one.sensor);
  $("legend").replaceChildren(...known.filter((one) => !one.sensor).map(item));
  $("sensors").replaceChildren(...sensors.map(item));
  $("sensors-part").hidden = sensors.length === 0;
}

function notice(text) {
  $("notices").replaceChildren(...(text ? [element("p", { class: "notice" }, text)] : []));
}

// grid and sun of the house, else what used most today
function usual() {
  const circuits = known.filter((one) => !one.sensor);
  const ofHouse = circuits.filter((one) => one.role && one.role !== "part");
  const loads = circuits.filter((one) => !one.role).sort((a, b) => Math.abs(b.wh_today) - Math.abs(a.wh_today));
  return (ofHouse.length ? ofHouse : loads.slice(0, 3)).slice(0, 3).map((one) => one.id);
}

function sensorsOf(meter, isAlone) {
  const volts = { id: `${meter.serial}_volts`, name: isAlone ? "Voltage" : `Voltage, ${meter.serial}`, unit: "V", sensor: "mean" };
  const others = meter.sensors.filter((one) => one.unit !== "" || one.value).map((one) => (
    { id: `${meter.serial}_${one.channel}`, name: one.name, unit: one.unit || "pulses", sensor: one.channel.startsWith("t") ? "mean" : "count" }));
  return [...(meter.volts === null ? [] : [volts]), ...others];
}

async function begin() {
  const [answer, cycles] = await Promise.all([fetch("/api/now"), fetch("/api/cycles")]);
  if (!answer.ok) return notice("The dashboard does not answer. Load the page again.");
  const { meters, bill } = await answer.json();
  currency = bill?.currency ?? null;
  if (currency && cycles.ok) readCycles(await cycles.json());
  const all = meters.flatMap((meter) => meter.channels.map((one) => ({ ...one, id: `${meter.serial}_${one.channel}`, unit: "W" })));
  const circuits = all.filter((one) => one.named || Math.abs(one.wh_today) >= 1 || view.channels.includes(one.id));
  known = [...(circuits.length ? circuits : all), ...meters.flatMap((meter) => sensorsOf(meter, meters.length === 1))];
  $("empty").hidden = all.length > 0;
  $("view").hidden = all.length === 0;
  view = readView(location.hash); // again, as the cycles are known now
  view.channels = view.channels.filter((id) => known.some((one) => one.id === id)).slice(0, MOST_CHANNELS);
  if (!view.channels.length) view.channels = usual();
  showLegend();
  if (all.length) await show();
}

const readCycles = ({ times, ends }) => setCycles(times.map((start, at) => [start, ends[at]]));

addEventListener("popstate", () => {
  const channels = view.channels;
  view = readView(location.hash);
  if (!view.channels.length) view.channels = channels;
  show();
});
$("earlier").addEventListener("click", () => move(-1));
$("later").addEventListener("click", () => move(1));
$("before").addEventListener("click", () => go({ isCompared: !view.isCompared }));
$("plot").addEventListener("dblclick", () => view.isFree && go({ isFree: false }));
const fileName = (ending) => `energy ${describeSpan(view.isFree ? "" : view.span, view.range)}.${ending}`.replaceAll(/[/:]/g, ".");
$("csv").addEventListener("click", () => save(new Blob([csv(visible, currency)], { type: "text/csv" }), fileName("csv")));
$("png").addEventListener("click", async () => save(await png($("plot").querySelector("canvas")), fileName("png")));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
setInterval(() => !document.hidden && view.range[1] > Date.now() / 1000 && known.length && show(), 60_000);
try {
  await begin();
} catch {
  notice("The dashboard does not answer. Load the page again.");
}
