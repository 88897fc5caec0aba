// SPDX-License-Identifier: GPL-3.0-or-later
// What History can show: power, energy, cost, or the values of sensors, each with how its numbers are written. Pure.

import { money, number, withUnit } from "./text.js";

export const KINDS = { power: "Power", energy: "Energy", cost: "Cost" };

function axisText(value, unit) {
  if (value === 0) return "0";
  if (Math.abs(value) < 1000) return `${number(value, Math.abs(value) < 1 ? 2 : 0)} ${unit}`;
  const [size, letter] = Math.abs(value) >= 1e6 ? [1e6, "M"] : [1e3, "k"];
  return `${Number((value / size).toFixed(2)).toString().replace("-", "−")} ${letter}${unit}`;
}

const withDigits = (unit) => (value) => `${number(value, Math.abs(value) < 100 ? 1 : 0)}\u00a0${unit}`;
const plainAxis = (unit) => (value) => `${Number(value.toFixed(2)).toString().replace("-", "−")} ${unit}`;

// of what is a line and what are bars; `values` are the values of a series
export function scaleOf(kind, unit, currency) {
  if (kind === "power") return { isLine: true, isFromZero: true, values: (one) => one.watts, format: (value) => withUnit(value, "W"), axis: (value) => axisText(value, "W") };
  if (kind === "energy") return { isLine: false, isFromZero: true, values: (one) => one.wh, format: (value) => withUnit(value, "Wh"), axis: (value) => axisText(value, "Wh") };
  if (kind === "cost") return { isLine: false, isFromZero: true, values: (one) => one.cost, format: (value) => money(value, currency), axis: (value) => money(value, currency) };
  const isMean = kind === "mean";
  return { isLine: isMean, isFromZero: !isMean, values: (one) => one.values, format: withDigits(unit), axis: plainAxis(unit) };
}
