// SPDX-License-Identifier: GPL-3.0-or-later
// What History shows, asked of the server: of each channel its times and values, and what was before, at the same times.

import { bounds, sameInNext } from "./calendar.js";

async function ask(path, query, ids) {
  const all = new URLSearchParams(query);
  for (const id of ids) all.append("channel", id);
  const answer = await fetch(`${path}?${all}`);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function askHistory(channels, step, [from, to]) {
  const ids = channels.map((one) => one.id);
  const found = await ask("/api/history", { from, to, step }, ids);
  return channels.map((one) => upright(ids.length === 1 ? found : found.channels[one.id], one.role));
}

// what the sun gives is positive here, as on the page Now, whichever way its sensor is clipped on
function upright(found, role) {
  if (role !== "solar" || !(found.wh.reduce((sum, wh) => sum + wh, 0) < 0)) return found;
  const turned = (values) => values.map((value) => (value === null ? null : -value));
  return { ...found, watts: turned(found.watts), wh: turned(found.wh), wh_import: found.wh_export, wh_export: found.wh_import };
}

// what circuits cost at each time: of each channel, by its id, { time: amount }
export async function askCosts(channels, { step, range }) {
  const found = channels.length ? await askBill(channels, step, range) : [];
  return new Map(channels.map(({ id }, at) => [id, new Map(found[at].times.map((time, index) => [time, found[at].cost[index]]))]));
}

// the house as a whole stands for its supply: what it paid, less what it earned
async function askBill(channels, step, [from, to]) {
  const found = await ask("/api/bill", { from, to, step }, channels.map((one) => one.id));
  const house = { times: found.times, wh: found.wh_used, cost: found.total, sum: { wh: found.sum.wh_used, wh_own: found.sum.wh_own, cost: found.sum.total }, isHouse: true };
  const nothing = { times: [], wh: [], cost: [], sum: { wh: 0, wh_own: 0, cost: 0 } };
  return channels.map((one) => {
    const own = found.channels[one.id];
    const series = own ? { times: found.times, wh: own.wh, cost: own.cost, sum: found.sums[one.id] } : one.role === "grid" ? house : nothing;
    return { ...series, bill: found.sum };
  });
}

const asker = (kind) => (kind === "cost" ? askBill : askHistory);
const LISTS = ["watts", "wh", "cost", "values"];

export async function askSeries(channels, { kind, step, range }) {
  return channels.length ? asker(kind)(channels, step, range) : [];
}

// what the span before had, at the same times of this one; the 31st of a month has none in one of 30 days
export async function askBefore(channels, view, { kind, step, range: [start, end] }) {
  const next = (time) => (view.isFree ? time + (end - start) : sameInNext(view.span, time));
  const range = view.isFree ? [2 * start - end, start] : bounds(view.span, view.moment ?? Date.now() / 1000, -1);
  const found = await asker(kind)(channels, step, range);
  return found.map((all) => {
    const kept = all.times.map((_time, at) => at).filter((at) => next(all.times[at]) < end);
    const pick = (values) => kept.map((at) => values[at]);
    const lists = Object.fromEntries(LISTS.filter((name) => all[name]).map((name) => [name, pick(all[name])]));
    return { times: pick(all.times).map(next), ...lists, all };
  });
}
