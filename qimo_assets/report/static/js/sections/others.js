/** Metrics that have no card of their own: shown by what the catalog says of them. */

import { overCategories, ranking } from "../charts.js";
import { ranked, sum } from "../data.js";
import {
  byDay,
  definitions,
  FEW,
  measureCells,
  measureColumns,
  seriesOf,
  trendDays,
} from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */
/** @typedef {import("./common.js").Metric} Metric */

// The metrics that have cards of their own.
const SHOWN = [
  "message_total",
  "message_hourly",
  "sender_province",
  "receiver_province",
  "sender_top",
  "receiver_top",
  "sex_pair",
  "phone_type",
  "os",
  "network",
  "message_type",
  "distance_band",
  "active_user",
  "data_quality",
];

/**
 * @param {Page} page
 * @param {View} view
 */
export function showOthers(page, view) {
  for (const metric of view.figures.index.metrics) {
    if (SHOWN.includes(metric.name)) continue;
    if (metric.grain.length) showValues(page, view, metric);
    else showDays(page, view, metric);
  }
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {Metric} metric
 */
function showValues(page, view, metric) {
  const { figures, texts, days } = view;
  const card = page.card("others", metric.name, "half");
  const measure = metric.measures.find((one) => one.adds) ?? metric.measures[0];
  const rows = ranked(figures.over(metric.name, days), measure.name);
  card.say(texts.metric(metric), texts.say("unit", metric.unit));
  const write = (/** @type {number} */ value) => texts.number(value);
  const few = measure.adds && rows.length > FEW ? rows.slice(0, FEW - 1) : rows.slice(0, FEW);
  const rest = rows.slice(few.length);
  const shown = few.map((row) => ({
    name: metric.grain.map((column) => texts.name(row[column])).join(" · "),
    value: row[measure.name] ?? 0,
    label: write(row[measure.name]),
    isOther: false,
  }));
  if (measure.adds && rest.length) {
    const value = sum(rest, measure.name);
    const name = texts.say("other", rest.length);
    shown.push({ name, value, label: write(value), isOther: true });
  }
  card.draw(texts, ranking(shown, write), 280);
  const columns = metric.grain.map((column) => ({
    title: texts.column(column),
    write: (/** @type {any} */ value) => texts.name(value),
  }));
  card.tell(
    texts,
    [...columns, ...measureColumns(view, metric.name)],
    rows.map((row) => [
      ...metric.grain.map((column) => row[column]),
      ...measureCells(view, metric.name, row),
    ]),
    definitions(view, metric.name),
  );
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {Metric} metric
 */
function showDays(page, view, metric) {
  const { texts } = view;
  const card = page.card("others", metric.name, "half");
  const shown = trendDays(view);
  const series = seriesOf(view, metric.name, shown, metric.measures);
  const write = (/** @type {number} */ value) => texts.number(value);
  const names = shown.map((day) => texts.dayShort(day));
  card.say(texts.metric(metric), texts.say("unit", metric.unit));
  card.draw(
    texts,
    overCategories("trend", names, series, write, (value) => texts.short(value)),
    280,
  );
  const [columns, rows] = byDay(view, shown, series, write);
  card.tell(texts, columns, rows, definitions(view, metric.name));
}
