/** Builds the page's elements. Text is always text: nothing here, and nothing that uses it, reads HTML. */

/** An element; its children are elements or text, absent ones are left out. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A table. Columns are `{ title, number }`, rows are lists of texts or elements. */
export function table(caption, columns, rows) {
  const cell = (tag, content, column, more = {}) => element(tag, { class: column.number ? "number" : null, ...more }, content);
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, columns.map((column) => cell("th", column.title, column, { scope: "col" })))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map((content, place) => cell("td", content, columns[place]))))),
  );
}

/** A bar whose length is a share of 1; it only repeats a figure that stands beside it. */
export function bar(share) {
  const fill = element("span", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return element("span", { class: "bar", "aria-hidden": "true" }, fill);
}

/** A small line without axes, as SVG. */
export function sparkline(values) {
  const [width, height] = [120, 32];
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const points = values.map((value, place) => value === null ? null : [
    (place / Math.max(1, values.length - 1)) * (width - 6) + 3,
    height - 4 - ((value - low) / (high - low || 1)) * (height - 8),
  ]).filter(Boolean);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, class: "spark", "aria-hidden": "true", focusable: "false" });
  if (points.length > 1) {
    const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    const [first, last] = [points[0], points[points.length - 1]];
    svg.append(
      shape("polygon", { points: `${first[0]},${height} ${line} ${last[0]},${height}`, class: "spark-area" }),
      shape("polyline", { points: line, class: "spark-line" }),
      shape("circle", { cx: last[0], cy: last[1], r: 2.5, class: "spark-end" }),
    );
  }
  return svg;
}

function shape(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}
