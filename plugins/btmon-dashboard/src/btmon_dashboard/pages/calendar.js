// SPDX-License-Identifier: GPL-3.0-or-later
// Spans of the calendar, in the browser's time zone, and the steps that suit them. Pure. Times are seconds since 1970.

const DAY = 86_400;
const at = (...parts) => new Date(...parts).getTime() / 1000;

// each span: its bounds around a moment, moved by so many of it, and the step of bars
export const SPANS = {
  hour: { name: "Hour", bars: "minute", bounds: (d, by) => [0, 1].map((n) => at(d.getFullYear(), d.getMonth(), d.getDate(), d.getHours() + by + n)) },
  day: { name: "Day", bars: "hour", bounds: (d, by) => [0, 1].map((n) => at(d.getFullYear(), d.getMonth(), d.getDate() + by + n)) },
  week: { name: "Week", bars: "day", bounds: (d, by) => [0, 7].map((n) => at(d.getFullYear(), d.getMonth(), d.getDate() - ((d.getDay() + 6) % 7) + 7 * by + n)) },
  month: { name: "Month", bars: "day", bounds: (d, by) => [0, 1].map((n) => at(d.getFullYear(), d.getMonth() + by + n, 1)) },
  year: { name: "Year", bars: "month", bounds: (d, by) => [0, 1].map((n) => at(d.getFullYear() + by + n, 0, 1)) },
  decade: { name: "Years", bars: "year", bounds: (d, by) => [0, 10].map((n) => at(d.getFullYear() - 9 + 10 * by + n, 0, 1)) },
};

// Billing cycles are the server's: [start, end] of each, in order.
let cycles = [];
const cycleOf = (moment, by) => {
  const at = cycles.findIndex(([start, end]) => moment >= start && moment < end);
  return cycles[Math.min(Math.max((at < 0 ? cycles.length - 1 : at) + by, 0), cycles.length - 1)];
};

export function setCycles(found) {
  cycles = found;
  if (found.length) SPANS.bill = { name: "Bill", bars: "day", bounds: (d, by) => cycleOf(d.getTime() / 1000, by) };
}

// the field of a date by which a span is moved, and by how much
const FIELDS = { hour: [3, 1], day: [2, 1], week: [2, 7], month: [1, 1], year: [0, 1], decade: [0, 10] };

// the moment of the next span that is the same: the same time of the next day, the same day of the next month
export function sameInNext(span, seconds) {
  if (span === "bill") return seconds + cycleOf(seconds, 1)[0] - cycleOf(seconds, 0)[0];
  const d = new Date(seconds * 1000);
  const parts = [d.getFullYear(), d.getMonth(), d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds()];
  parts[FIELDS[span][0]] += FIELDS[span][1];
  return at(...parts);
}

const LINE_STEPS = [10, 60, 300, 900, 3600, 14_400, DAY];
const MOST_POINTS = 750;
const MOST_MEANS = 200; // of a sensor whose last digit goes to and fro

export function bounds(span, moment, by = 0) {
  return SPANS[span].bounds(new Date(moment * 1000), by);
}

// the step of a line over a time, in seconds
export function lineStep([from, to], isMean = false) {
  return LINE_STEPS.find((step) => (to - from) / step <= (isMean ? MOST_MEANS : MOST_POINTS)) ?? DAY;
}

// the step of bars over any time that a person has chosen
export function barStep([from, to]) {
  const days = (to - from) / DAY;
  return days <= 0.1 ? "minute" : days <= 3 ? "hour" : days <= 93 ? "day" : days <= 1500 ? "month" : "year";
}

export function barEnd(start, step) {
  const d = new Date(start * 1000);
  if (step === "year") return at(d.getFullYear() + 1, 0, 1);
  if (step === "month") return at(d.getFullYear(), d.getMonth() + 1, 1);
  if (step === "day") return at(d.getFullYear(), d.getMonth(), d.getDate() + 1);
  return start + (step === "hour" ? 3600 : 60);
}

const text = (seconds, options) => new Date(seconds * 1000).toLocaleString("en-GB", options);

export function describeMoment(seconds, step) {
  if (step === "year") return text(seconds, { year: "numeric" });
  if (step === "month") return text(seconds, { month: "long", year: "numeric" });
  if (step === "day" || step >= DAY) return text(seconds, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
  const time = { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) };
  return text(seconds, { weekday: "short", day: "numeric", month: "short", ...time });
}

export function describeSpan(span, [from, to]) {
  if (span === "year") return text(from, { year: "numeric" });
  if (span === "month") return text(from, { month: "long", year: "numeric" });
  if (span === "day") return text(from, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
  if (span === "decade") return `${text(from, { year: "numeric" })} – ${text(to - 1, { year: "numeric" })}`;
  if (span === "week" || span === "bill") return `${text(from, { day: "numeric", month: "short" })} – ${text(to - 1, { day: "numeric", month: "short", year: "numeric" })}`;
  const day = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" };
  const isOneDay = text(from, { dateStyle: "short" }) === text(to - 1, { dateStyle: "short" });
  return `${text(from, day)} – ${text(to, isOneDay ? { hour: "2-digit", minute: "2-digit" } : day)}`;
}

// the mark of a bar
export function barMoment(start, step) {
  if (step === "year") return text(start, { year: "numeric" });
  if (step === "month") return text(start, { month: "short" });
  if (step === "day") return text(start, { day: "numeric", month: "short" });
  return text(start, { hour: "2-digit", minute: "2-digit" });
}

// a mark of the axis, where marks are so many seconds apart
export function axisMoment(seconds, step) {
  const d = new Date(seconds * 1000);
  if (step >= 300 * DAY || (step >= 27 * DAY && d.getMonth() === 0)) return text(seconds, { year: "numeric" });
  if (step >= 27 * DAY) return text(seconds, { month: "short" });
  if (step >= DAY || d.getHours() + d.getMinutes() + d.getSeconds() === 0) return text(seconds, { day: "numeric", month: "short" });
  return text(seconds, { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
}
