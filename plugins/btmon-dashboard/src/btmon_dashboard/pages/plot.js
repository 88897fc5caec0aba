// SPDX-License-Identifier: GPL-3.0-or-later
// The picture of History, by uPlot: lines of power or of a sensor, or bars of energy or money side by side.

import uPlot from "./vendor/uPlot.esm.js";
import { axisMoment, barEnd, barMoment, describeMoment } from "./calendar.js";

const FILLED = 0.76; // of the time of a bar, what it takes
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// series: [{ name, hue, times, values }]; scale: { isLine, isSmooth, isFromZero, format, axis }, the last two of which make
// text: of a value, and of all marks of an axis. A series may have a note for a time. The step of bars has a name.
export function draw(target, series, { scale, range, step, onZoom, onValues }) {
  const { isLine } = scale;
  const data = joined(series, isLine ? step : null);
  const options = {
    ...size(target),
    padding: [12, 24, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { show: isLine, size: 7 } },
    scales: { x: { time: true, range: () => range }, y: { range: (_plot, low, high) => around(low, high, scale.isFromZero) } },
    axes: axes(scale.axis, isLine ? null : step),
    series: [{}, ...series.map((one, at) => (isLine ? line(one, scale.isSmooth) : bars(one, at, series.length, step)))],
    hooks: {
      setSelect: [(plot) => plot.select.width > 5 && onZoom([plot.posToVal(plot.select.left, "x"), plot.posToVal(plot.select.left + plot.select.width, "x")])],
      setCursor: [(plot) => onValues(valuesAt(plot, series, step, scale.format))],
    },
  };
  target.replaceChildren();
  const plot = new uPlot(options, data, target);
  const observer = new ResizeObserver(() => target.isConnected && plot.setSize(size(target)));
  observer.observe(target);
  return () => {
    observer.disconnect();
    plot.destroy();
  };
}

const size = (target) => ({ width: Math.max(target.clientWidth, 200), height: Math.max(target.clientHeight, 200) });

function around(low, high, isFromZero) {
  if (!isFromZero && low !== null) {
    const space = Math.max((high - low) * 0.08, 0.5);
    return [low - space, high + space];
  }
  const [bottom, top] = [Math.min(low ?? 0, 0), Math.max(high ?? 0, 0)];
  const space = (top - bottom || 100) * 0.06;
  return [bottom < 0 ? bottom - space : 0, top > 0 || bottom === 0 ? top + space : 0];
}

function axes(format, step) {
  const grid = { stroke: css("--line"), width: 1 };
  const common = { stroke: css("--soft"), font: "12px system-ui, sans-serif", ticks: { show: false } };
  const values = (_plot, splits) => format(splits);
  const times = { ...common, grid: { show: false }, gap: 8, size: 34, space: 64 };
  const moments = (_plot, splits, _axis, _space, apart) => splits.map((moment) => axisMoment(moment, apart));
  return [step ? { ...times, ...marksOfBars(step) } : { ...times, values: moments }, { ...common, grid, size: 70, gap: 8, space: 42, values }];
}

// below bars, a time stands in the middle of its own, and of many, each second, fifth or tenth one has a mark
function marksOfBars(step) {
  const startsOf = (plot) => {
    const { min, max } = plot.scales.x;
    const starts = [];
    for (let start = min; start < max && starts.length < 2000; start = barEnd(start, step)) starts.push(start);
    const most = Math.max(plot.bbox.width / devicePixelRatio / 56, 1);
    const every = [1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60, 120, 240].find((one) => starts.length / one <= most) ?? 480;
    return starts.filter((_start, at) => at % every === 0);
  };
  const splits = (plot) => startsOf(plot).map((start) => (start + barEnd(start, step)) / 2);
  return { splits, values: (plot) => startsOf(plot).map((start) => barMoment(start, step)) };
}

function line(one, isSmooth) {
  const paths = isSmooth ? uPlot.paths.linear() : uPlot.paths.stepped({ align: 1 });
  return { label: one.name, stroke: one.hue, width: one.isBefore ? 1.25 : 1.75, points: { show: false }, paths };
}

// bars of several channels stand beside each other within the time that they are of
function bars(one, at, count, step) {
  const room = (plot) => FILLED * Math.min(...plot.data[0].map((start) => barEnd(start, step) - start));
  const left = (plot) => plot.data[0].map((start) => (start + barEnd(start, step) - room(plot)) / 2 + (at * room(plot)) / count);
  const disp = { x0: { unit: 1, values: left }, size: { unit: 1, values: (plot) => [room(plot) / count] } };
  return { label: one.name, stroke: one.hue, fill: one.hue, width: 0, points: { show: false }, paths: uPlot.paths.bars({ disp, radius: 0.1 }) };
}

// one row of times for all series, as uPlot wants it; in lines, a time without samples is a gap
function joined(series, step) {
  const tables = series.map(({ times, values }) => (step ? withGaps(times, values, step) : [times, values]));
  return tables.length === 0 ? [[]] : tables.length === 1 ? tables[0] : uPlot.join(tables, tables.map(() => [0, 2]));
}

function withGaps(times, values, step) {
  const [when, what] = [[], []];
  times.forEach((time, at) => {
    if (at && time - times[at - 1] > Math.max(3 * step, 180)) {
      when.push(times[at - 1] + step);
      what.push(null);
    }
    when.push(time);
    what.push(values[at]);
  });
  return [when, what];
}

function valuesAt(plot, series, step, format) {
  const at = plot.cursor.idx;
  if (at === null || at === undefined || plot.cursor.left < 0) return "";
  const time = plot.data[0][at];
  const found = series.map((one, index) => [one, plot.data[index + 1][at]]).filter(([, value]) => value !== null && value !== undefined);
  const texts = found.map(([one, value]) => `${one.name} ${format(value)}${one.note?.(time) ?? ""}`);
  return found.length ? `${describeMoment(time, step)}: ${texts.join(", ")}` : "";
}
