// SPDX-License-Identifier: GPL-3.0-or-later
// What History shows, as the part of the address behind #: a link reproduces a view, and the browser's Back goes back.

import { bounds, SPANS } from "./calendar.js";

export function readView(hash) {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const span = SPANS[query.get("span")] ? query.get("span") : "day";
  const [from, to] = [Number(query.get("from")), Number(query.get("to"))];
  const isFree = from > 0 && to > from;
  const moment = Number(query.get("at")) > 0 ? Number(query.get("at")) : null;
  return {
    channels: query.getAll("c"),
    span,
    moment, // null: now
    range: isFree ? [from, to] : bounds(span, moment ?? Date.now() / 1000),
    isFree,
    isCompared: query.get("before") === "1",
    kind: ["power", "energy", "cost"].includes(query.get("kind")) ? query.get("kind") : null,
  };
}

export function writeView(view) {
  const query = new URLSearchParams();
  for (const channel of view.channels) query.append("c", channel);
  query.set("span", view.span);
  if (view.isFree) {
    query.set("from", Math.floor(view.range[0]));
    query.set("to", Math.ceil(view.range[1]));
  } else if (view.moment !== null) query.set("at", Math.floor(view.moment));
  if (view.isCompared) query.set("before", "1");
  if (view.kind) query.set("kind", view.kind);
  return `#${query}`;
}

// without a choice, what is short is a line of power, and what is long is bars of energy
export function kindOf(view) {
  return view.kind ?? (view.range[1] - view.range[0] < 8 * 86_400 ? "power" : "energy");
}
