/** What the sections of the page have in common. */

import { provinceOnMap } from "../charts.js";
import { button } from "../dom.js";

/** @typedef {import("../data.js").Figures} Figures */
/** @typedef {import("../data.js").Metric} Metric */
/** @typedef {import("../data.js").Measure} Measure */
/** @typedef {import("../data.js").Row} Row */
/** @typedef {import("../texts.js").Texts} Texts */
/** @typedef {import("../dom.js").Column} Column */
/** @typedef {import("../card.js").Card} Card */
/**
 * One value of a metric's dimension, such as a province: what is not of it is left out where the
 * tables can tell.
 *
 * @typedef {{ name: string, key: string }} Filter
 */
/** @typedef {{ kind: "previous" | "week" | "chosen", days: string[] }} Versus */
/**
 * What is shown: the chosen days, those that they are compared with, and the days of trends.
 *
 * @typedef {{
 *   figures: Figures, texts: Texts, days: string[], versus: Versus[], trend: string[],
 *   filter: Filter | null, setFilter: (filter: Filter | null) => void, wall: boolean,
 * }} View
 */
/**
 * @typedef {{
 *   card: (section: string, id: string, kind: string) => Card, all: Set<string>,
 * }} Page
 */

export const FEW = 10;
export const HOME = "中国";

/**
 * The days of a trend, from the first on that has figures.
 *
 * @param {View} view
 */
export function trendDays({ figures, days, trend }) {
  const shown = days.length > trend.length ? days : trend;
  const first = shown.findIndex((day) => figures.rows("message_total", day).length);
  return first > 0 ? shown.slice(first) : shown;
}

/**
 * The place of the first day that is not over.
 *
 * @param {Figures} figures
 * @param {string[]} days
 */
export function openPlace(figures, days) {
  const place = days.findIndex((day) => figures.isOpen(day));
  return place < 0 ? days.length : place;
}

/**
 * Series over days: a measure of a metric without a grain each.
 *
 * @param {View} view
 * @param {string} name
 * @param {string[]} days
 * @param {Measure[]} measures
 */
export function seriesOf({ figures, texts }, name, days, measures) {
  return measures.map((measure) => ({
    name: texts.measure(measure),
    values: days.map((day) => figures.row(name, day)?.[measure.name] ?? null),
    open: openPlace(figures, days),
  }));
}

/**
 * The table of series over days.
 *
 * @param {View} view
 * @param {string[]} days
 * @param {{ name: string, values: (number | null)[] }[]} series
 * @param {(value: any) => string} write
 * @returns {[Column[], any[][]]}
 */
export function byDay(view, days, series, write) {
  const titled = series.map((one) => ({ title: one.name, number: true, write }));
  return [
    [dayColumn(view), ...titled],
    days.map((day, place) => [day, ...series.map((one) => one.values[place])]),
  ];
}

/**
 * @param {View} view
 * @returns {Column}
 */
export function dayColumn({ figures, texts }) {
  return {
    title: texts.column("day"),
    write: (day) => (figures.isOpen(day) ? texts.say("soFar", day) : day),
  };
}

/**
 * The columns of a metric's measures.
 *
 * @param {View} view
 * @param {string} name
 * @returns {Column[]}
 */
export function measureColumns({ figures, texts, days }, name) {
  const many = days.length > 1;
  return (figures.metric(name)?.measures ?? []).map((measure) => ({
    title:
      many && !measure.adds
        ? texts.say("dailyMeanOf", texts.measure(measure))
        : texts.measure(measure),
    number: true,
    write: (value) =>
      measure.name.startsWith("age_") ? texts.duration(value) : texts.number(value),
  }));
}

/**
 * The values of a metric's measures.
 *
 * @param {View} view
 * @param {string} name
 * @param {Row} row
 */
export function measureCells({ figures }, name, row) {
  return (figures.metric(name)?.measures ?? []).map((measure) => row[measure.name] ?? null);
}

/**
 * What a metric and its measures mean, as the catalog says.
 *
 * @param {View} view
 * @param {string} name
 * @param {(measure: Measure) => boolean} some
 */
export function definitions({ figures, texts }, name, some = () => true) {
  const metric = figures.metric(name);
  if (!metric) return [];
  const measures = metric.measures.filter((measure) => some(measure) && texts.definition(measure));
  return [
    texts.metric(metric),
    ...measures.map((measure) => `${texts.measure(measure)}: ${texts.definition(measure)}`),
  ];
}

/**
 * Which value of its dimension a row is of.
 *
 * @param {Figures} figures
 * @param {string} name
 * @param {Row} row
 * @returns {string}
 */
export function keyOf(figures, name, row) {
  if (!name.endsWith("_province")) return String(row[figures.metric(name)?.grain[0] ?? ""]);
  return (row.country === HOME && provinceOnMap(row.province)) || row.country;
}

/**
 * A name that filters by it when it is pressed.
 *
 * @param {View} view
 * @param {string} name
 * @param {string} key
 * @param {string} text
 */
export function filterButton({ filter, setFilter, texts }, name, key, text) {
  const isSet = filter?.name === name && filter.key === key;
  return button(text, () => setFilter(isSet ? null : { name, key }), {
    class: "pick",
    "aria-pressed": String(isSet),
    title: texts.say("filterHint"),
  });
}

/**
 * The only value that is lit in a chart of this metric; null where all are.
 *
 * @param {View} view
 * @param {string} name
 */
export function lit({ filter, texts }, name) {
  return filter?.name === name ? texts.name(filter.key) : null;
}
