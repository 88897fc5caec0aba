// SPDX-License-Identifier: GPL-3.0-or-later
// The page Health: what `btcore status` shows, asked again every few seconds.

import { ago, bytes, duration, element, number, setText, titleCells } from "./text.js";

const $ = (id) => document.getElementById(id);
const INTERVAL = 5000;
const STATES = { ok: "works", waiting: "waiting", behind: "behind", failing: "fails", stopped: "stopped", ended: "ended" };

const MOST_WARNINGS = 12;
let token = "";
let retried = ""; // what was done last, below the table

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
  titleCells($(id));
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
  showWarnings(status.warnings ?? [], now);
  showLetters(status.sinks.some((one) => one.dead_letters));
  setText($("program"), `btcore ${status.version}, started ${since(status.started)}, with ${status.file}`);
  $("facts").hidden = false;
}

function showWarnings(warnings, now) {
  const rows = warnings.slice(0, MOST_WARNINGS).map((one) => element("tr", {},
    element("th", { scope: "row" }, ago(now - Date.parse(one.time) / 1000)),
    element("td", { class: "text" }, element("span", { class: "state", "data-state": one.level === "error" ? "failing" : "behind" }, one.from)),
    element("td", { class: "text" }, one.text)));
  const none = element("tr", {}, element("td", { class: "text" }, "None since the program was started."));
  $("warnings").replaceChildren(element("tbody", {}, ...(rows.length ? rows : [none])));
  titleCells($("warnings"));
}

// a line for each sink and reason; a retry is for all of a sink
async function showLetters(areThere) {
  $("letters-part").hidden = !areThere && !retried;
  if (!areThere) return $("letters").replaceChildren();
  const answer = await fetch("/api/dead-letters");
  if (!answer.ok) return;
  const found = await answer.json();
  token = found.token ?? "";
  const groups = new Map();
  for (const one of found.letters) groups.set(`${one.sink}\n${one.reason}`, [...(groups.get(`${one.sink}\n${one.reason}`) ?? []), one]);
  const offered = new Set();
  const rows = [...groups.values()].map((letters) => {
    const { sink, reason } = letters[0];
    const cells = [element("th", { scope: "row" }, sink.replace("sink.", "")), element("td", { class: "text" }, reason), element("td", {}, count(letters.length)), element("td", {})];
    if (token && !offered.has(sink)) {
      const button = element("button", { type: "button", class: "step" }, "Deliver again");
      button.setAttribute("aria-label", `Deliver the dead letters of ${sink} again`);
      button.addEventListener("click", () => retry(sink, button));
      cells[3].append(button);
      offered.add(sink);
    }
    return element("tr", {}, ...cells);
  });
  const more = found.count > found.letters.length ? ` Of ${count(found.count)}, the first ${count(found.letters.length)} are counted here.` : "";
  setText($("letters-note"), `${retried}${more}`.trim());
  const titles = ["Sink", "Reason", "Readings", ""].map((title) => element(title ? "th" : "td", title ? { scope: "col", class: title === "Reason" ? "text" : null } : {}, title));
  $("letters").replaceChildren(element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...rows));
  titleCells($("letters"));
}

async function retry(sink, button) {
  button.disabled = true;
  const body = JSON.stringify({ sink });
  const answer = await fetch("/api/dead-letters/retry", { method: "POST", body, headers: { "Content-Type": "application/json", "X-Btcore-Token": token } });
  const found = await answer.json();
  retried = answer.ok ? `${count(found.count)} are being delivered again; those that are refused again stay.` : `They were not delivered again: ${found.error}.`;
  setText($("letters-note"), retried);
  setTimeout(refresh, 2000);
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
