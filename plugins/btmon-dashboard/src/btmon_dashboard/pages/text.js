// SPDX-License-Identifier: GPL-3.0-or-later
// Elements and numbers as text. Whatever a channel is called, it is text, never markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// Say of each cell what its column is: on a phone the cells stand below one another, each with its title. The roles say
// that it is still a table, which a browser forgets where rows are laid out in another way.
export function titleCells(table) {
  table.setAttribute("role", "table");
  const titles = [...table.querySelectorAll("thead th, thead td")].map((cell) => cell.textContent);
  for (const group of table.querySelectorAll("thead, tbody, tfoot")) group.setAttribute("role", "rowgroup");
  for (const row of table.rows) {
    row.setAttribute("role", "row");
    for (const cell of row.cells) {
      const isTitle = cell.tagName === "TH";
      cell.setAttribute("role", isTitle ? (cell.scope === "col" ? "columnheader" : "rowheader") : "cell");
      if (!isTitle && cell.colSpan === 1 && titles[cell.cellIndex]) cell.dataset.title = titles[cell.cellIndex];
    }
  }
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// a number with three significant digits and its unit: [text, unit]
export function scaled(value, unit) {
  if (value === null || value === undefined) return ["–", ""];
  const size = Math.abs(value);
  if (size < 999.5) return [number(value, unit === "Wh" && size < 99.5 && size > 0 ? 1 : 0), unit];
  if (size < 999_500) return [number(value / 1e3, size < 9_995 ? 2 : size < 99_950 ? 1 : 0), `k${unit}`];
  return [number(value / 1e6, size < 9_995_000 ? 2 : 1), `M${unit}`];
}

export function number(value, digits) {
  const rounded = Number(value.toFixed(digits)) || 0; // no "-0"
  return rounded.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

export function withUnit(value, unit) {
  const [text, scaledUnit] = scaled(value, unit);
  return scaledUnit ? `${text}\u00a0${scaledUnit}` : text;
}

export function kilowattHours(wh) {
  return wh === null || wh === undefined ? "–" : `${number(wh / 1000, Math.abs(wh) < 99_950 ? 2 : 0)}\u00a0kWh`;
}

// what makes text of the numbers of a column: all with as many digits as suit its largest
export function columnOfEnergy(values) {
  const most = Math.max(0, ...values.map((wh) => Math.abs(wh ?? 0)));
  const digits = most < 99_950 ? 2 : most < 9_995_000 ? 1 : 0;
  return (wh) => (wh === null || wh === undefined ? "–" : `${number(wh / 1000, digits)}\u00a0kWh`);
}

export function ago(seconds) {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 0)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}

export function duration(seconds) {
  const [size, name] = seconds < 90 ? [1, "s"] : seconds < 5400 ? [60, "min"] : seconds < 172_800 ? [3600, "h"] : [86_400, "days"];
  return `${number(seconds / size, 0)}\u00a0${name}`;
}

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const at = Math.min(Math.max(Math.floor(Math.log10(Math.max(size, 1)) / 3), 0), units.length - 1);
  const value = size / 1000 ** at;
  return `${number(value, at && value < 100 ? 1 : 0)}\u00a0${units[at]}`;
}

// with as many digits as the currency has, unless others are asked for
export function money(amount, currency, digits) {
  if (amount === null || amount === undefined) return "–";
  return (Math.abs(amount) < 0.005 ? 0 : amount).toLocaleString("en", { style: "currency", currency, currencyDisplay: "narrowSymbol", minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−\u2060"); // no line ends behind a minus
}

export function percent(share) {
  return share === null || share === undefined ? "–" : `${number(100 * share, share > 0 && share < 0.0995 ? 1 : 0)}\u00a0%`;
}
