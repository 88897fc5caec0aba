// SPDX-License-Identifier: GPL-3.0-or-later
// The table below the picture of History: sums, means and peaks of what is shown.

import { barEnd } from "./calendar.js";
import { columnOfEnergy, element, money, percent, titleCells, withUnit } from "./text.js";

const total = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0);
const peak = (values) => values.reduce((best, value) => (Math.abs(value ?? 0) > Math.abs(best ?? 0) ? value : best), values[0] ?? null);

export function showTable(target, titles, rows) {
  const head = element("thead", {}, element("tr", {}, ...titles.map((text) => element("th", { scope: "col" }, text))));
  const body = rows.map(([name, hue, cells]) => {
    const title = element("th", { scope: "row" }, element("i"), name);
    title.firstChild.style.background = `var(${hue})`;
    return element("tr", {}, title, ...cells.map((text) => element("td", {}, text)));
  });
  target.replaceChildren(head, element("tbody", {}, ...body));
  titleCells(target);
}

export function energyFigures(series, { kind, step, isCompared }) {
  const hasExport = series.some((one) => total(one.wh_export) >= 1);
  const highest = kind === "power" ? "Highest" : `Highest ${step}`;
  const titles = ["Circuit", ...(hasExport ? ["In", "Out"] : []), "Energy", ...(isCompared ? ["Before"] : []), "Mean", highest];
  const energy = columnOfEnergy(series.flatMap((one) => [total(one.wh_import), total(one.wh_export)]));
  const cells = (one) => {
    const ways = hasExport ? [total(one.wh_import), total(one.wh_export)].map(energy) : [];
    const most = kind === "power" ? withUnit(peak(one.watts), "W") : withUnit(peak(one.wh), "Wh");
    return [...ways, energy(total(one.wh)), ...(one.before ? [energy(total(one.before.all.wh))] : []), withUnit(mean(one, step), "W"), most];
  };
  return [titles, cells];
}

// `bill` is the sums of the house in the same time
export function costFigures(series, { step, isCompared, bill, currency }) {
  const hasSun = bill.wh_solar > 1000;
  const titles = ["Circuit", "Energy", ...(hasSun ? ["Own supply"] : []), "Cost", ...(isCompared ? ["Before"] : []), "Of the bill", `Highest ${step}`];
  const energy = columnOfEnergy(series.map((one) => one.sum.wh));
  const cells = (one) => {
    const own = hasSun ? [one.sum.wh ? percent(one.sum.wh_own / one.sum.wh) : "–"] : [];
    const before = one.before ? [money(one.before.all.sum.cost, currency)] : [];
    return [energy(one.sum.wh), ...own, money(one.sum.cost, currency), ...before, one.isHouse ? "" : percent(bill.cost ? one.sum.cost / bill.cost : null), money(peak(one.cost), currency)];
  };
  return [titles, cells];
}

export function sensorFigures(series, { kind, isCompared, scale }) {
  const known = (values) => values.filter((value) => value !== null);
  const all = kind === "mean" ? "Mean" : "In all";
  const titles = ["Sensor", all, ...(isCompared ? ["Before"] : []), "Lowest", "Highest"];
  const sum = (values) => (values.length ? total(values) / (kind === "mean" ? values.length : 1) : null);
  const text = (value) => (value === null || !Number.isFinite(value) ? "–" : scale.format(value));
  const cells = (one) => [sum(known(one.values)), ...(one.before ? [sum(known(one.before.all.values))] : []), Math.min(...known(one.values)), Math.max(...known(one.values))].map(text);
  return [titles, cells];
}

// the mean of the time that was measured
function mean(one, step) {
  const length = (start) => (typeof step === "string" ? barEnd(start, step) - start : step);
  const parts = one.watts.map((watts, at) => [watts, length(one.times[at])]).filter(([watts]) => watts !== null);
  const seconds = parts.reduce((sum, [, part]) => sum + part, 0);
  return seconds ? parts.reduce((sum, [watts, part]) => sum + watts * part, 0) / seconds : null;
}
