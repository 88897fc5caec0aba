// SPDX-License-Identifier: GPL-3.0-or-later
// The page Health: what `btcore status` shows, asked again every few seconds.

import { ago, bytes, duration, element, number, setText } from "./text.js";

const $ = (id) => document.getElementById(id);
const INTERVAL = 5000;
const STATES = { ok: "works", waiting: "waiting", behind: "behind", failing: "fails", stopped: "stopped", ended: "ended" };

const count = (value) => (value === null || value === undefined ? "–" : number(value, 0));
const state = (name) => element("span", { class: "state", "data-state": name }, STATES[name] ?? name);

// rows: [name, detail, cells, why]; what is wrong stands below its row
function table(id, titles, rows) {
  const head = element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title))));
  const body = rows.flatMap(([name, detail, cells, why]) => {
    const title = element("th", { scope: "row" }, name, ...(detail ? [element("small", {}, detail)] : []));
    const row = element("tr", {}, title, ...cells.map((cell) => element("td", {}, cell)));
    return why ? [row, element("tr", { class: "why" }, element("td", { colspan: titles.length }, why))] : [row];
  });
  $(id).replaceChildren(head, element("tbody", {}, ...body));
}

function show(status) {
  const now = Date.parse(status.time) / 1000;
  const since = (time) => (time ? ago(now - Date.parse(time) / 1000) : "never");
  // of what fails now the notices above say why
  const why = ({ last_error: error, state }) => error && !["failing", "stopped"].includes(state) && `Last error: ${error.text} (${since(error.time)})`;
  const plugin = (one) => (one.plugin === one.name ? "" : one.plugin);
  $("verdict").dataset.ok = status.ok;
  setText($("verdict"), status.ok ? "Everything works" : status.problems.length === 1 ? "One thing is wrong" : `${status.problems.length || "Some"} things are wrong`);
  $("notices").replaceChildren(...status.problems.map((line) => element("p", { class: "notice" }, line)));
  const meters = status.sources.flatMap((source) => source.meters.map((meter) => [
    meter.serial,
    status.sources.length > 1 ? source.name : "",
    [state(meter.silent_for === null ? "ok" : "silent"), since(meter.last), meter.interval ? duration(meter.interval) : "–", count(meter.readings)],
  ]));
  table("meters", ["Meter", "State", "Last heard", "Usually every", "Readings"], meters);
  table("sources", ["Source", "State", "Packets", "Damaged", "In the journal"], status.sources.map((one) => [one.name, plugin(one), [state(one.state), count(one.packets), count(one.damaged), count(one.kept)], why(one)]));
  table("sinks", ["Sink", "State", "Delivered", "Waiting", "Oldest", "Dead letters"], status.sinks.map((one) => [one.name, plugin(one), [state(one.state), count(one.delivered), count(one.waiting), one.oldest_waiting ? since(one.oldest_waiting) : "–", count(one.dead_letters)], why(one)]));
  showJournal(status.journal, now);
  setText($("program"), `btcore ${status.version}, started ${since(status.started)}, with ${status.file}`);
  $("facts").hidden = false;
}

function showJournal(journal, now) {
  if (!journal) return $("journal").replaceChildren();
  const day = (time) => new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const facts = [
    ["Readings", count(journal.entries)],
    ["Size", bytes(journal.bytes)],
    ["Since", journal.oldest ? day(journal.oldest) : "–"],
    ["Kept for", duration(journal.retention)],
    ["Free on its disk", journal.free === null ? "–" : bytes(journal.free)],
    ["Disk full", journal.full ? `in ${duration(Date.parse(journal.full) / 1000 - now)}` : "never"],
  ];
  $("journal").replaceChildren(...facts.map(([name, value]) => element("div", { class: "card" }, element("dt", {}, name), element("dd", {}, value))));
}

async function refresh() {
  try {
    const answer = await fetch("/api/health");
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    if (found.sources) show(found);
    else setText($("verdict"), "The state of the program is not known");
    $("connection").dataset.state = "live";
    setText($("connection"), "live");
  } catch {
    $("connection").dataset.state = "lost";
    setText($("connection"), "no connection");
  }
}

await refresh();
setInterval(() => !document.hidden && refresh(), INTERVAL);
