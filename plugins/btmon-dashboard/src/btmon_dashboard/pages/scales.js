// SPDX-License-Identifier: GPL-3.0-or-later
// What History can show: power, energy, cost, or the values of sensors, each with how its numbers are written. Pure.

import { money, number, withUnit } from "./text.js";

export const KINDS = { power: "Power", energy: "Energy", cost: "Cost" };

// the marks of an axis, all with as many digits as the finest of them needs
function alike(values, unit) {
  const digits = Math.max(0, ...values.map((value) => (Number(value.toFixed(3)).toString().split(".")[1] ?? "").length));
  return values.map((value) => (value === 0 ? "0" : `${number(value, digits)} ${unit}`));
}

// all in the unit that suits the largest
function axisTexts(values, unit) {
  const most = Math.max(...values.map(Math.abs));
  const [size, letter] = most >= 1e6 ? [1e6, "M"] : most >= 1e3 ? [1e3, "k"] : [1, ""];
  return alike(values.map((value) => value / size), letter + unit);
}

// cents only where the marks have any
function moneyTexts(values, currency) {
  const digits = values.every(Number.isInteger) ? 0 : 2;
  return values.map((value) => money(value, currency, digits));
}

const withDigits = (unit) => (value) => `${number(value, Math.abs(value) < 100 ? 1 : 0)}\u00a0${unit}`;

// of what is a line and what are bars; `values` are the values of a series
export function scaleOf(kind, unit, currency) {
  if (kind === "power") return { isLine: true, isFromZero: true, values: (one) => one.watts, format: (value) => withUnit(value, "W"), axis: (values) => axisTexts(values, "W") };
  if (kind === "energy") return { isLine: false, isFromZero: true, values: (one) => one.wh, format: (value) => withUnit(value, "Wh"), axis: (values) => axisTexts(values, "Wh") };
  if (kind === "cost") return { isLine: false, isFromZero: true, values: (one) => one.cost, format: (value) => money(value, currency), axis: (values) => moneyTexts(values, currency) };
  const isMean = kind === "mean";
  return { isLine: isMean, isFromZero: !isMean, values: (one) => one.values, format: withDigits(unit), axis: (values) => alike(values, unit), isSmooth: isMean };
}
