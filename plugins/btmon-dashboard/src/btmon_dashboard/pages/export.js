// SPDX-License-Identifier: GPL-3.0-or-later
// What is shown as a file: its numbers as CSV, its picture as PNG. Made in the browser; nothing is asked for.

const two = (number) => String(number).padStart(2, "0");

// a moment with the offset of the browser's time zone, as ISO 8601 has it
function isoTime(seconds) {
  const d = new Date(seconds * 1000);
  const offset = -d.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}${zone}`;
}

// a spreadsheet takes a text that begins like this for a formula
const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

// series: [{ name, times, and some of the lists below }]
const COLUMNS = [["watts", "W"], ["wh", "Wh"], ["cost", ""], ["values", ""]];

export function csv(series, currency) {
  const columns = series.flatMap((one, at) => COLUMNS.filter(([list]) => one[list]).map(([list, unit]) => ({ one, at, list, unit: unit || (list === "cost" ? currency : one.unit) })));
  const rows = new Map();
  columns.forEach(({ one, list }, column) => {
    one.times.forEach((time, index) => {
      if (!rows.has(time)) rows.set(time, Array(columns.length).fill(""));
      rows.get(time)[column] = one[list][index] ?? "";
    });
  });
  const head = ["time", ...columns.map(({ one, unit }) => cell(`${one.name} ${unit}`))];
  const lines = [...rows].sort(([a], [b]) => a - b).map(([time, values]) => [isoTime(time), ...values].join(","));
  return `${[head.join(","), ...lines].join("\r\n")}\r\n`;
}

// the picture on the page's own paper: a canvas alone has no background
export function png(canvas) {
  const made = document.createElement("canvas");
  [made.width, made.height] = [canvas.width, canvas.height];
  const brush = made.getContext("2d");
  brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--card");
  brush.fillRect(0, 0, made.width, made.height);
  brush.drawImage(canvas, 0, 0);
  return new Promise((resolve) => made.toBlob(resolve, "image/png"));
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
