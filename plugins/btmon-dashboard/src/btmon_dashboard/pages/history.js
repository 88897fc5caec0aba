// SPDX-License-Identifier: GPL-3.0-or-later
// The page History: the view is in the address, what it asks for comes from /api/history, one request a circuit.

import { barEnd, barStep, bounds, describeSpan, lineStep, sameInNext, SPANS } from "./calendar.js";
import { csv, png, save } from "./export.js";
import { draw } from "./plot.js";
import { element, kilowattHours, setText, withUnit } from "./text.js";
import { kindOf, readView, writeView } from "./view.js";

const $ = (id) => document.getElementById(id);
const HUES = ["--hue-1", "--hue-2", "--hue-3", "--hue-4", "--hue-5", "--hue-6", "--hue-7", "--hue-8"];
const MOST_CHANNELS = 6;
const HINT = "Drag across the picture to look closer.";
const KINDS = { power: "Power", energy: "Energy" };
let known = [];
let view = readView(location.hash);
let forget = () => {};
let latest = 0;
let visible = [];

function go(change) {
  view = { ...view, ...change };
  if (!view.isFree && !change.range) view.range = bounds(view.span, view.moment ?? Date.now() / 1000);
  history.pushState(null, "", writeView(view));
  show();
}

// grid and sun have the colours that they have on the page Now; others go by the order in which they were chosen
function hueName(id) {
  const roles = ["grid", "solar"];
  const roleOf = (channel) => roles.indexOf(known.find((one) => one.id === channel)?.role);
  if (roleOf(id) >= 0) return HUES[roleOf(id)];
  const others = view.channels.filter((channel) => roleOf(channel) < 0);
  return HUES[roles.length + (others.indexOf(id) % (HUES.length - roles.length))];
}

async function ask(id, step, [from, to]) {
  const answer = await fetch(`/api/history?${new URLSearchParams({ channel: id, from, to, step })}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

// what the span before had, at the same times of this one; the 31st of a month has none in one of 30 days
async function askBefore(id, step) {
  const [start, end] = view.range;
  const next = (time) => (view.isFree ? time + (end - start) : sameInNext(view.span, time));
  const range = view.isFree ? [2 * start - end, start] : bounds(view.span, view.moment ?? Date.now() / 1000, -1);
  const found = await ask(id, step, range);
  const kept = found.times.map((_time, at) => at).filter((at) => next(found.times[at]) < end);
  const pick = (values) => kept.map((at) => values[at]);
  return { times: pick(found.times).map(next), watts: pick(found.watts), wh: pick(found.wh), sum: found.wh.reduce((sum, wh) => sum + wh, 0) };
}

async function show() {
  const request = ++latest;
  showControls();
  const kind = kindOf(view);
  const named = view.isFree ? barStep(view.range) : SPANS[view.span].bars;
  const step = kind === "power" ? lineStep(view.range) : named;
  const shown = known.filter((one) => view.channels.includes(one.id));
  try {
    const found = await Promise.all(shown.map((one) => ask(one.id, step, view.range)));
    const before = await Promise.all(view.isCompared ? shown.map((one) => askBefore(one.id, step)) : []);
    if (request !== latest) return; // a later view was asked for meanwhile
    const series = shown.map((one, at) => ({ ...one, ...found[at], before: before[at] })).sort((a, b) => view.channels.indexOf(a.id) - view.channels.indexOf(b.id));
    visible = series;
    showPicture(series, kind, step);
    showFigures(series, kind, step);
    notice("");
  } catch (error) {
    if (request === latest) notice(`The history could not be read: ${error.message}`);
  }
}

function showPicture(series, kind, step) {
  forget();
  const style = getComputedStyle(document.documentElement);
  const drawn = series.flatMap((one) => {
    const hue = style.getPropertyValue(hueName(one.id)).trim();
    const values = (of) => ({ times: of.times, values: kind === "power" ? of.watts : of.wh });
    const before = one.before ? [{ name: `${one.name} before`, hue: `${hue}70`, isBefore: true, ...values(one.before) }] : [];
    return [...before, { name: one.name, hue, ...values(one) }];
  });
  const hint = view.isCompared ? `${HINT} Paler is what was before.` : HINT;
  const onZoom = (range) => go({ range, isFree: true });
  forget = draw($("plot"), drawn, { kind, range: view.range, step, onZoom, onValues: (text) => setText($("values"), text || hint) });
  setText($("values"), hint);
  $("plot").setAttribute("aria-label", `${KINDS[kind]} of ${series.map((one) => one.name).join(", ")}, ${describeSpan(view.isFree ? "" : view.span, view.range)}; the table below has the sums`);
}

function showFigures(series, kind, step) {
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  const hasExport = series.some((one) => total(one.wh_export) >= 1);
  const most = kind === "power" ? "Highest" : `Highest ${step}`;
  const titles = ["Circuit", ...(hasExport ? ["In", "Out"] : []), "Energy", ...(view.isCompared ? ["Before"] : []), "Mean", most];
  const rows = series.map((one) => {
    const name = element("th", { scope: "row" }, element("i"), one.name);
    name.firstChild.style.background = `var(${hueName(one.id)})`;
    const ways = hasExport ? [total(one.wh_import), total(one.wh_export)].map(kilowattHours) : [];
    const values = kind === "power" ? one.watts : one.wh;
    const peak = values.reduce((best, value) => (Math.abs(value ?? 0) > Math.abs(best ?? 0) ? value : best), values[0] ?? null);
    const cells = [...ways, kilowattHours(total(one.wh)), ...(one.before ? [kilowattHours(one.before.sum)] : []), withUnit(mean(one, step), "W"), withUnit(peak, kind === "power" ? "W" : "Wh")];
    return element("tr", {}, name, ...cells.map((text) => element("td", {}, text)));
  });
  const head = element("thead", {}, element("tr", {}, ...titles.map((text) => element("th", { scope: "col" }, text))));
  $("figures").replaceChildren(head, element("tbody", {}, ...rows));
}

// the mean of the time that was measured
function mean(one, step) {
  const length = (start) => (typeof step === "string" ? barEnd(start, step) - start : step);
  const parts = one.watts.map((watts, at) => [watts, length(one.times[at])]).filter(([watts]) => watts !== null);
  const seconds = parts.reduce((sum, [, part]) => sum + part, 0);
  return seconds ? parts.reduce((sum, [watts, part]) => sum + watts * part, 0) / seconds : null;
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
  choose($("spans"), names, view.isFree ? "" : view.span, (span) => go({ span, isFree: false, kind: null }));
  choose($("kinds"), KINDS, kindOf(view), (kind) => go({ kind }));
  $("before").setAttribute("aria-pressed", String(view.isCompared));
  setText($("span"), describeSpan(view.isFree ? "" : view.span, view.range));
  $("later").disabled = view.range[1] > Date.now() / 1000;
  for (const input of $("legend").querySelectorAll("input")) {
    input.checked = view.channels.includes(input.value);
    input.style.setProperty("--hue", input.checked ? `var(${hueName(input.value)})` : "");
    input.disabled = !input.checked && view.channels.length >= MOST_CHANNELS;
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

function showLegend() {
  const items = known.map((one) => {
    const input = element("input", { type: "checkbox", value: one.id });
    input.addEventListener("change", () => {
      const others = view.channels.filter((id) => id !== one.id);
      go({ channels: input.checked ? [...others, one.id] : others });
    });
    return element("li", {}, element("label", {}, input, one.name));
  });
  $("legend").replaceChildren(...items);
}

function notice(text) {
  $("notices").replaceChildren(...(text ? [element("p", { class: "notice" }, text)] : []));
}

// grid and sun of the house, else what used most today
function usual() {
  const ofHouse = known.filter((one) => one.role);
  const loads = known.filter((one) => !one.role).sort((a, b) => Math.abs(b.wh_today) - Math.abs(a.wh_today));
  return (ofHouse.length ? ofHouse : loads.slice(0, 3)).slice(0, 3).map((one) => one.id);
}

async function begin() {
  const answer = await fetch("/api/now");
  if (!answer.ok) return notice("The dashboard does not answer. Load the page again.");
  const { meters } = await answer.json();
  const all = meters.flatMap((meter) => meter.channels.map((one) => ({ ...one, id: `${meter.serial}_${one.channel}` })));
  known = all.filter((one) => one.named || Math.abs(one.wh_today) >= 1 || view.channels.includes(one.id));
  if (!known.length) known = all;
  $("empty").hidden = known.length > 0;
  $("view").hidden = known.length === 0;
  view.channels = view.channels.filter((id) => known.some((one) => one.id === id)).slice(0, MOST_CHANNELS);
  if (!view.channels.length) view.channels = usual();
  showLegend();
  if (known.length) await show();
}

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
$("csv").addEventListener("click", () => save(new Blob([csv(visible)], { type: "text/csv" }), fileName("csv")));
$("png").addEventListener("click", async () => save(await png($("plot").querySelector("canvas")), fileName("png")));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
setInterval(() => !document.hidden && view.range[1] > Date.now() / 1000 && known.length && show(), 60_000);
try {
  await begin();
} catch {
  notice("The dashboard does not answer. Load the page again.");
}
