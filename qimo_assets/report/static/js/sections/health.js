/** What came through the pipeline, and how old it was. */

import { overCategories, withClockTicks } from "../charts.js";
import { sum } from "../data.js";
import { element } from "../dom.js";
import {
  byDay,
  dayColumn,
  definitions,
  measureCells,
  measureColumns,
  seriesOf,
  trendDays,
} from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */
/** @typedef {import("./common.js").Metric} Metric */
/** @typedef {import("./common.js").Row} Row */

const QUALITY = "data_quality";
const AGES = ["age_p50", "age_p99"];

/**
 * @param {Page} page
 * @param {View} view
 */
export function showHealth(page, view) {
  const metric = view.figures.metric(QUALITY);
  if (!metric) return;
  const reasons = metric.measures.filter((measure) => measure.name.startsWith("quarantined_"));
  showTotals(page, view, reasons);
  showQuarantine(page, view, reasons);
  showAges(page, view, metric);
}

/**
 * The mean of an age over days, each weighted by the messages that it was measured of; null where
 * none was.
 *
 * @param {Row[]} rows
 * @param {string} name
 */
function weightedAge(rows, name) {
  const measured = rows.filter((row) => typeof row[name] === "number" && row.rows > row.late);
  const weight = measured.reduce((total, row) => total + row.rows - row.late, 0);
  if (!weight) return null;
  return measured.reduce((total, row) => total + row[name] * (row.rows - row.late), 0) / weight;
}

/**
 * @param {View} view
 * @param {string[]} days
 * @returns {Row[]}
 */
function qualityRows({ figures }, days) {
  return days.flatMap((day) => figures.rows(QUALITY, day).map((row) => ({ day, ...row })));
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {import("./common.js").Measure[]} reasons
 */
function showTotals(page, view, reasons) {
  const { figures, texts, days } = view;
  const rows = qualityRows(view, days);
  const isHistory = (/** @type {Row} */ row) => figures.isHistory(row.day);
  const live = rows.filter((row) => !isHistory(row));
  const history = sum(rows.filter(isHistory), "rows");
  const count = (/** @type {Row[]} */ some, /** @type {string} */ name) =>
    some.length ? texts.number(sum(some, name)) : "–";
  const quarantined = rows.map((row) => ({
    all: reasons.reduce((total, reason) => total + (row[reason.name] ?? 0), 0),
  }));
  const measured = rows.filter((row) => row.age_p50 !== null && row.age_p50 !== undefined).length;
  const age = (/** @type {"ageP50" | "ageP99"} */ title, /** @type {string} */ name) => {
    const value = weightedAge(rows, name);
    const text = texts.say(title);
    const note = rows.length && value === null ? texts.say("noAges") : "";
    return [
      measured > 1 ? texts.say("weightedMean", text) : text,
      texts.duration(value),
      days.length > 1 || value === null ? note : "",
    ];
  };
  const items = [
    [texts.say("lines"), count(rows, "lines"), ""],
    [texts.say("rows"), count(rows, "rows"), ""],
    [texts.say("quarantined"), count(quarantined, "all"), ""],
    [texts.say("sentAgain"), count(rows, "sent_again"), ""],
    [
      texts.say("late"),
      count(live, "late"),
      history ? `${texts.say("loadedLater")} ${texts.number(history)}` : "",
    ],
    age("ageP50", "age_p50"),
    age("ageP99", "age_p99"),
  ];
  const card = page.card("health", "quality", "plain");
  card.say(texts.say("health"));
  const shown = items.map(([title, text, note]) =>
    element(
      "div",
      { class: "total" },
      element("dt", {}, title),
      element("dd", { class: "figure" }, text),
      note ? element("dd", { class: "change" }, note) : null,
    ),
  );
  card.tell(
    texts,
    [dayColumn(view), ...measureColumns({ ...view, days: days.slice(0, 1) }, QUALITY)],
    rows.map((row) => [row.day, ...measureCells(view, QUALITY, row)]),
    definitions(view, QUALITY),
  );
  card.body.replaceChildren(element("dl", { class: "totals small" }, shown));
  card.showBody(null);
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {import("./common.js").Measure[]} reasons
 */
function showQuarantine(page, view, reasons) {
  const { texts } = view;
  const shown = trendDays(view);
  const rows = qualityRows(view, shown);
  const used = reasons.filter((reason) => rows.some((row) => row[reason.name]));
  const series = seriesOf(view, QUALITY, shown, used);
  const card = page.card("health", "quarantine", "half");
  card.say(texts.say("reasons"), texts.say("lastDays", shown.length));
  const write = (/** @type {number} */ value) => texts.number(value);
  const names = shown.map((day) => texts.dayShort(day));
  card.draw(
    texts,
    overCategories("quality", names, series, write, (value) => texts.short(value)),
    280,
  );
  const [columns, cells] = byDay(view, shown, series, write);
  card.tell(
    texts,
    columns,
    rows.length ? cells : [],
    definitions(view, QUALITY, (one) => reasons.includes(one)),
  );
  if (rows.length && !used.length) card.showBody(texts.say("nothingQuarantined"));
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {Metric} metric
 */
function showAges(page, view, metric) {
  const { texts } = view;
  const measures = AGES.flatMap((name) => metric.measures.filter((one) => one.name === name));
  if (!measures.length) return;
  const shown = trendDays(view);
  const series = seriesOf(view, QUALITY, shown, measures);
  const write = (/** @type {number} */ value) => texts.duration(value);
  const card = page.card("health", "age", "half");
  card.say(texts.say("age"), texts.say("lastDays", shown.length));
  const names = shown.map((day) => texts.dayShort(day));
  const option = overCategories("age", names, series, write, (value) => texts.durationShort(value));
  card.draw(texts, withClockTicks(option), 280);
  const [columns, cells] = byDay(view, shown, series, write);
  card.tell(
    texts,
    columns,
    cells,
    definitions(view, QUALITY, (one) => measures.includes(one)),
  );
  const some = series.some((one) => one.values.some((value) => value !== null));
  if (!some) card.showBody(texts.say("noAges"));
}
