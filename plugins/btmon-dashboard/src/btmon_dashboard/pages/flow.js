// SPDX-License-Identifier: GPL-3.0-or-later
// The flow of the house as a picture: what comes from the left goes through the house to the right, each as wide as its
// watts. It is drawn anew for the width of the window; who cannot see it has the same in words.

import { sources } from "./house.js";
import { withUnit } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_CIRCUITS = 5;
const MIN_WATTS = 1; // less is nothing that flows
const GAP = 14; // pixels between two bands
const NODE = 8; // pixels of the width of a node
const ROW = 34; // pixels that a label needs

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// what comes in and what goes out, each with its watts; both have the same sum
export function bands(parts, loads) {
  const from = sources(parts);
  const into = Math.max(parts.battery.watts, 0);
  const away = Math.max(-parts.grid.watts, 0);
  const sun = Math.max(parts.solar.watts, 0);
  const left = [
    { role: "solar", name: "Solar", watts: sun },
    { role: "battery", name: "Battery", watts: Math.max(-parts.battery.watts, 0) },
    { role: "grid", name: "Grid", watts: parts.has.grid ? Math.max(parts.grid.watts, 0) : from.grid },
  ];
  const known = loads.filter((one) => one.watts >= MIN_WATTS).sort((a, b) => b.watts - a.watts);
  const first = known.slice(0, MOST_CIRCUITS);
  const rest = parts.house.watts - first.reduce((sum, one) => sum + one.watts, 0);
  const right = [
    ...first.map((one) => ({ role: "load", ...one })),
    { role: "rest", name: known.length > MOST_CIRCUITS ? "All others" : "Not measured", watts: rest },
    { role: "battery", name: "Into the battery", watts: into },
    { role: "export", name: "To the grid", watts: away },
  ];
  return [left, right].map((side) => side.filter((one) => one.watts >= MIN_WATTS));
}

export function describe([left, right]) {
  const list = (side) => side.map((one) => `${one.name} ${withUnit(one.watts, "W")}`).join(", ");
  return left.length && right.length ? `Power flows from ${list(left)}; to ${list(right)}.` : "No power flows.";
}

const sizesOf = (side, scale) => side.map((one) => Math.max(one.watts * scale, 1.5));
const roomsOf = (sizes) => sizes.map((size) => Math.max(size + GAP, ROW));
const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);

// the heights of bands in pixels, and where each begins: as wide as their watts, but apart as labels need
function stack(side, scale, height) {
  const sizes = sizesOf(side, scale);
  const rooms = roomsOf(sizes);
  let y = (height - sum(rooms)) / 2;
  return sizes.map((size, at) => {
    const top = y + (rooms[at] - size) / 2;
    y += rooms[at];
    return [top, size];
  });
}

const band = (x0, y0, x1, y1, size) => {
  const [middle, low] = [(x0 + x1) / 2, size];
  return `M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}V${y1 + low}C${middle} ${y1 + low} ${middle} ${y0 + low} ${x0} ${y0 + low}Z`;
};

export function drawFlow(target, [left, right]) {
  const width = target.clientWidth;
  const isNarrow = width < 560;
  if (!width || !left.length || !right.length) return target.replaceChildren();
  const usual = Math.max(isNarrow ? 250 : 230, ROW * Math.max(left.length, right.length) + GAP);
  const total = Math.max(...[left, right].map((side) => sum(side.map((one) => one.watts))));
  const room = Math.max(left.length, right.length) * GAP;
  const scale = Math.max(usual * 0.72 - room, 60) / total;
  // one wide band among many narrow ones, whose labels need room, makes a side higher than usual
  const height = Math.max(usual, ...[left, right].map((side) => sum(roomsOf(sizesOf(side, scale))) + GAP));
  const [labelLeft, labelRight] = isNarrow ? [64, 128] : [120, 230];
  const [x0, x1] = [labelLeft + NODE, width - labelRight - NODE];
  const middle = isNarrow ? (x0 + x1) / 2 : x0 + (x1 - x0) * 0.45;
  const house = Math.max(total * scale, 2);
  const top = (height - house) / 2;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  const draw = (side, x, isLeft) => {
    const places = stack(side, scale, height);
    let y = top;
    side.forEach((one, at) => {
      const [begin, size] = places[at];
      const ends = isLeft ? [x, begin, middle - NODE / 2, y] : [middle + NODE / 2, y, x, begin];
      picture.append(svg("path", { class: `band ${one.role}`, d: band(...ends, size) }));
      picture.append(svg("rect", { class: `bar ${one.role}`, x: isLeft ? x - NODE : x, y: begin, width: NODE, height: size, rx: 2 }));
      const text = { x: isLeft ? x - NODE - 10 : x + NODE + 10, y: begin + size / 2, "text-anchor": isLeft ? "end" : "start" };
      picture.append(label(one, text, isLeft || isNarrow ? (isLeft ? 9 : 15) : 26));
      y += one.watts * scale;
    });
  };
  draw(left, x0, true);
  draw(right, x1, false);
  picture.append(svg("rect", { class: "bar house", x: middle - NODE / 2, y: top, width: NODE, height: house, rx: 2 }));
  target.replaceChildren(picture);
}

function label(one, place, most) {
  const name = one.name.length > most ? `${one.name.slice(0, most - 1)}…` : one.name;
  const made = svg("text", { ...place, class: "label" });
  made.append(svg("tspan", { x: place.x, dy: "-.15em" }, name), svg("tspan", { x: place.x, dy: "1.15em", class: "amount" }, withUnit(one.watts, "W")));
  return made;
}
