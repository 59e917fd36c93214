/** Builds the page's elements. Text is always text: nothing here, nor what uses it, reads HTML. */

/** @typedef {Node | string | null | undefined | false} Child */
/**
 * A column of a table. `write` writes its values as the page shows them.
 *
 * @typedef {{ title: string, number?: boolean, write?: (value: any) => string }} Column
 */

/**
 * An element; its children are elements or text, absent ones are left out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} attributes
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child) made.append(child);
  return made;
}

/**
 * A button of words.
 *
 * @param {string} text
 * @param {() => void} press
 * @param {Record<string, any>} attributes
 */
export function button(text, press, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", press);
  return made;
}

/**
 * The element of an id that stands in index.html.
 *
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @returns {Kind}
 */
export function get(id) {
  return /** @type {Kind} */ (document.getElementById(id));
}

/**
 * A value as a column writes it.
 *
 * @param {Column} column
 * @param {any} value
 * @returns {any}
 */
export function written(column, value) {
  return column.write && !(value instanceof Node) ? column.write(value) : value;
}

/**
 * A table. Rows are lists of values, which their columns write, or of elements.
 *
 * @param {string} caption
 * @param {Column[]} columns
 * @param {any[][]} rows
 */
export function table(caption, columns, rows) {
  const kind = (/** @type {Column} */ column) => (column.number ? "number" : null);
  const head = columns.map((column) =>
    element("th", { class: kind(column), scope: "col" }, column.title),
  );
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      row.map((value, place) =>
        element("td", { class: kind(columns[place]) }, written(columns[place], value)),
      ),
    ),
  );
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, body),
  );
}

/**
 * A bar whose length is a share of 1; it only repeats a figure that stands beside it.
 *
 * @param {number} share
 */
export function bar(share) {
  const fill = element("span", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, fill);
}

/**
 * A small line without axes, as SVG; its last part is dashed where the last day is not over.
 *
 * @param {(number | null)[]} values
 * @param {boolean} open
 */
export function sparkline(values, open) {
  const [width, height] = [120, 32];
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const points = values
    .map((value, place) =>
      value === null
        ? null
        : [
            (place / Math.max(1, values.length - 1)) * (width - 6) + 3,
            height - 4 - ((value - low) / (high - low || 1)) * (height - 8),
          ],
    )
    .filter((point) => point !== null);
  const svg = shape("svg", {
    viewBox: `0 0 ${width} ${height}`,
    class: "spark",
    "aria-hidden": "true",
    focusable: "false",
  });
  if (points.length < 2) return svg;
  const path = (/** @type {number[][]} */ some) =>
    some.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const whole = open ? points.slice(0, -1) : points;
  const [first, last] = [points[0], whole[whole.length - 1]];
  const area = `${first[0]},${height} ${path(whole)} ${last[0]},${height}`;
  svg.append(
    shape("polygon", { points: area, class: "spark-area" }),
    shape("polyline", { points: path(whole), class: "spark-line" }),
  );
  if (open) svg.append(shape("polyline", { points: path(points.slice(-2)), class: "spark-open" }));
  else svg.append(shape("circle", { cx: last[0], cy: last[1], r: 2.5, class: "spark-end" }));
  return svg;
}

/**
 * @param {string} tag
 * @param {Record<string, any>} attributes
 */
function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/**
 * What stands for a series in a legend: its shape in its colour.
 *
 * @param {string} symbol the name of a shape of ECharts, or "bar"
 * @param {string} color
 * @param {boolean} dashed
 */
export function swatch(symbol, color, dashed) {
  const svg = shape("svg", { viewBox: "0 0 22 10", class: "swatch", "aria-hidden": "true" });
  const marks = {
    bar: ["rect", { x: 6, y: 0, width: 10, height: 10, rx: 2 }],
    circle: ["circle", { cx: 11, cy: 5, r: 4 }],
    rect: ["rect", { x: 7, y: 1, width: 8, height: 8 }],
    triangle: ["polygon", { points: "11,0 16,9 6,9" }],
    diamond: ["polygon", { points: "11,0 16,5 11,10 6,5" }],
  };
  if (symbol !== "bar") {
    const line = { x1: 0, y1: 5, x2: 22, y2: 5, stroke: color, "stroke-width": 2 };
    svg.append(shape("line", dashed ? { ...line, "stroke-dasharray": "4 3" } : line));
  }
  const [tag, attributes] = marks[/** @type {keyof typeof marks} */ (symbol)] ?? marks.circle;
  svg.append(
    shape(/** @type {string} */ (tag), { .../** @type {object} */ (attributes), fill: color }),
  );
  return svg;
}
