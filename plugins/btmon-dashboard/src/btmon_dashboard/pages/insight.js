// SPDX-License-Identifier: GPL-3.0-or-later
// The page Insight: what /api/insight finds in the last month, or another time, as sentences and a table.

import { bounds } from "./calendar.js";
import { columnOfEnergy, element, kilowattHours, money, number, percent, scaled, setText, titleCells, withUnit } from "./text.js";

const $ = (id) => document.getElementById(id);
const DAY = 86_400;
const SPANS = { week: "7 days", month: "30 days", year: "A year", thisyear: "This year" };
const HOURS_OF_YEAR = 8766;
let span = new URLSearchParams(location.hash.slice(1)).get("span") ?? "month";
if (!SPANS[span]) span = "month";

function range() {
  const now = Date.now() / 1000;
  if (span === "thisyear") return [bounds("year", now)[0], now];
  return [now - { week: 7, month: 30, year: 365 }[span] * DAY, now];
}

function tile(title, [value, unit], more, share, hue) {
  const bar = element("div", { class: "meter", "aria-hidden": "true" }, element("i"));
  bar.firstChild.style.width = `${100 * Math.min(share ?? 0, 1)}%`;
  if (hue) bar.firstChild.style.setProperty("--hue", `var(--${hue})`);
  const big = element("dd", { class: "big" }, value, ...(unit ? [element("small", {}, unit)] : []));
  return element("div", { class: "card" }, element("dt", {}, title), big, element("dd", { class: "more" }, more, ...(share === undefined ? [] : [bar])));
}

function showLead({ house, currency, nights }) {
  const price = house.wh_import > 1000 ? house.cost / house.wh_import : 0; // of a Wh
  const tiles = [];
  if (currency) tiles.push(tile("Cost", [money(house.total, currency), ""], bill(house, currency)));
  tiles.push(tile("Used", kilowattHours(house.wh_used).split("\u00a0"), `${kilowattHours(house.wh_import)} from the grid`));
  if (house.always_on === null) tiles.push(tile("Always on", ["–", ""], `known after 3 nights; so far ${nights}`));
  else {
    const yearly = price ? `, ${money(house.always_on * HOURS_OF_YEAR * price, currency, 0)} a year` : "";
    tiles.push(tile("Always on", scaled(house.always_on, "W"), `the lowest hour of the night${yearly}`));
  }
  if (house.wh_solar > 1000) {
    tiles.push(tile("Own supply", [percent(house.autarky), ""], "of what was used did not come from the grid", house.autarky, "solar"));
    tiles.push(tile("Sun used here", [percent(house.self_consumption), ""], `of ${kilowattHours(house.wh_solar)}; ${kilowattHours(house.wh_export)} went to the grid`, house.self_consumption, "solar"));
  }
  const rest = house.wh_used > 1000 ? house.rest / house.wh_used : null;
  if (rest !== null && Math.abs(rest) > 0.001) tiles.push(tile("Not measured", scaled(house.rest_median, "W"), `the median hour; ${kilowattHours(house.rest)} in all, ${percent(rest)}`));
  $("lead").replaceChildren(...tiles);
}

function bill(house, currency) {
  const parts = [`${money(house.cost, currency)} for energy`];
  if (house.credit) parts.push(`${money(-house.credit, currency)} for what went to the grid`);
  if (house.charge) parts.push(`${money(house.charge, currency)} standing charge`);
  return parts.join(", ");
}

function showUnusual({ unusual, days }) {
  const items = unusual.sort((a, b) => Math.abs(b.wh - b.usual) - Math.abs(a.wh - a.usual)).map((one) => {
    const isMore = one.wh > one.usual;
    const text = ` has used ${kilowattHours(one.wh)} until ${String(one.hours).padStart(2, "0")}:00; usual is ${kilowattHours(one.usual)}.`;
    return element("li", {}, element("span", { class: isMore ? "way" : "way less", "aria-hidden": "true" }, isMore ? "↑" : "↓"), element("span", {}, element("b", {}, one.name), text));
  });
  const none = days < 8 ? `What is unusual is known after a week; so far ${number(Math.max(days - 1, 0), 0)} full days.` : "Nothing: each circuit uses about what it does on other days.";
  $("unusual").replaceChildren(...(items.length ? items : [element("li", { class: "fine" }, none)]));
}

function mix(one) {
  const own = one.wh > 0 ? one.wh_own / one.wh : 0;
  const made = element("div", { class: "mix", role: "img", "aria-label": `${percent(own)} own supply` }, element("i"), element("i"));
  const [sun, grid] = made.children;
  sun.style.background = "var(--solar)";
  sun.style.flexGrow = own;
  grid.style.background = "var(--grid)";
  grid.style.flexGrow = 1 - own;
  return made;
}

function showCircuits({ circuits, house, currency }) {
  const known = circuits.filter((one) => one.named || one.wh >= 1).sort((a, b) => b.wh - a.wh);
  const hasSun = house.wh_solar > 1000;
  const energy = columnOfEnergy([house.wh_used]);
  const titles = ["Circuit", "Always on", "Energy", ...(hasSun ? ["Sun and grid", "Own supply"] : []), ...(currency ? ["Cost", "Of the bill"] : ["Of all"])];
  const costs = (cost, share) => (currency ? [money(cost, currency), percent(share)] : []);
  const row = (name, cells) => element("tr", {}, name, ...cells.map((cell) => element("td", {}, cell)));
  const rows = known.map((one) => {
    const name = element("th", { scope: "row" }, element("a", { href: `/history#c=${encodeURIComponent(one.id)}&span=month` }, one.name));
    if (one.area) name.append(element("small", {}, one.area));
    const own = hasSun ? [mix(one), percent(one.wh > 0 ? one.wh_own / one.wh : null)] : [];
    const share = currency ? costs(one.cost, one.share) : [percent(house.wh_used ? one.wh / house.wh_used : null)];
    return row(name, [one.always_on === null ? "–" : withUnit(one.always_on, "W"), energy(one.wh), ...own, ...share]);
  });
  const spent = known.reduce((sum, one) => sum + one.cost, 0);
  const blank = hasSun ? ["", percent(house.autarky)] : [];
  const title = (text) => element("th", { scope: "row" }, text);
  const rest = row(title("Not measured"), ["", energy(house.rest), ...(hasSun ? ["", ""] : []), ...(currency ? costs(house.cost - spent, house.cost ? (house.cost - spent) / house.cost : null) : [percent(house.wh_used ? house.rest / house.wh_used : null)])]);
  const total = row(title("House"), [house.always_on === null ? "–" : withUnit(house.always_on, "W"), energy(house.wh_used), ...blank, ...(currency ? [money(house.cost, currency), ""] : [""])]);
  const head = element("thead", {}, element("tr", {}, ...titles.map((text) => element("th", { scope: "col" }, text))));
  $("circuits").replaceChildren(head, element("tbody", {}, ...rows, rest), element("tfoot", {}, total));
  titleCells($("circuits"));
}

function showRules({ house }) {
  const sun = house.wh_solar > 1000 ? " In each hour, each circuit has the same share of the sun as the house." : "";
  setText($("rules"), `Always on is the lowest hour between midnight and six, as the median of four weeks. Unusual is what a circuit has used or not used until now as on fewer than one day of ten.${sun}`);
}

function showSpans() {
  if (!$("spans").children.length) {
    for (const [id, name] of Object.entries(SPANS)) {
      const button = element("button", { type: "button", "data-id": id }, name);
      button.addEventListener("click", () => {
        span = id;
        history.replaceState(null, "", `#span=${id}`);
        show();
      });
      $("spans").append(button);
    }
  }
  for (const button of $("spans").children) button.setAttribute("aria-pressed", String(button.dataset.id === span));
}

function notice(text) {
  $("notices").replaceChildren(...(text ? [element("p", { class: "notice" }, text)] : []));
}

async function show() {
  showSpans();
  const [from, to] = range();
  try {
    const answer = await fetch(`/api/insight?${new URLSearchParams({ from: Math.floor(from), to: Math.ceil(to) })}`);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error);
    const isEmpty = !(found.house.wh_used > 0);
    $("empty").hidden = !isEmpty;
    $("view").hidden = isEmpty;
    if (!isEmpty) for (const part of [showLead, showUnusual, showCircuits, showRules]) part(found);
    notice("");
  } catch (error) {
    notice(`The findings could not be read: ${error.message}`);
  }
}

await show();
setInterval(() => !document.hidden && show(), 300_000);
