/** Takes cards out of the page: as CSV, as a picture, as a link. */

import { picture } from "./charts.js";
import { written } from "./dom.js";

/** @typedef {import("./dom.js").Column} Column */

const PADDING = 24;
const ROW = 22;
const MOST_ROWS = 24;
const SCALE = 2;
const FONT = "system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif";

/**
 * A card's figures as CSV, numbers as they are. A spreadsheet takes what begins with one of =+-@ for
 * a formula, and users choose their own names: such a text gets an apostrophe before it.
 *
 * @param {Column[]} columns
 * @param {any[][]} rows
 */
export function csv(columns, rows) {
  const cell = (/** @type {any} */ value) => {
    const text = value instanceof Node ? (value.textContent ?? "") : String(value ?? "");
    const safe = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [columns.map((column) => column.title), ...rows];
  // Excel takes a file for UTF-8 by its first character.
  return "\uFEFF" + lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

/**
 * Hand a file to the person who reads the page.
 *
 * @param {Blob} content
 * @param {string} name
 */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Put a text on the clipboard; where the page may not, as over http from another machine, by a field
 * from which the browser copies.
 *
 * @param {string} text
 */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/**
 * A card as a picture: title, remark, legend, chart, and the first rows of the figures where there
 * is no chart.
 *
 * @param {{
 *   title: string, remark: string, legend: import("./charts.js").Legend[],
 *   chart: HTMLElement | null, columns: Column[], rows: any[][],
 * }} card
 * @returns {Promise<Blob | null>}
 */
export function png({ title, remark, legend, chart, columns, rows }) {
  const style = getComputedStyle(document.documentElement);
  const color = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const drawn = chart && picture(chart);
  const width = Math.max(640, chart?.clientWidth ?? 0) + 2 * PADDING;
  const few = drawn ? [] : rows.slice(0, MOST_ROWS);
  const body = drawn ? (chart?.clientHeight ?? 0) : (few.length + 1) * ROW;
  const head = PADDING + 44 + (legend.length > 1 ? ROW : 0);
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = (head + body + PADDING) * SCALE;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(SCALE, SCALE);
  pen.fillStyle = color("--card");
  pen.fillRect(0, 0, width, canvas.height);
  pen.textBaseline = "top";
  write(pen, title, PADDING, PADDING, `600 16px ${FONT}`, color("--ink"));
  write(pen, remark, PADDING, PADDING + 22, `12px ${FONT}`, color("--quiet"));
  let x = PADDING;
  for (const one of legend.length > 1 ? legend : []) {
    pen.fillStyle = one.color;
    pen.fillRect(x, PADDING + 48, 12, 8);
    x += 18 + write(pen, one.name, x + 18, PADDING + 45, `12px ${FONT}`, color("--quiet")) + 18;
  }
  if (drawn && chart) pen.drawImage(drawn, PADDING, head, chart.clientWidth, chart.clientHeight);
  const step = (width - 2 * PADDING) / Math.max(1, columns.length);
  [columns.map((column) => column.title), ...few].forEach((row, line) => {
    if (drawn) return;
    row.forEach((value, place) => {
      const shown = line ? written(columns[place], value) : value;
      const text = shown instanceof Node ? (shown.textContent ?? "") : String(shown ?? "");
      const ink = color(line ? "--ink" : "--quiet");
      write(pen, text, PADDING + place * step, head + line * ROW, `13px ${FONT}`, ink, step - 8);
    });
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/**
 * Write a text, and return how wide it is.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} font
 * @param {string} color
 * @param {number} [width]
 */
function write(pen, text, x, y, font, color, width) {
  pen.font = font;
  pen.fillStyle = color;
  pen.fillText(text, x, y, width);
  return pen.measureText(text).width;
}
