/** Who is active, and who comes back. */

import { overCategories } from "../charts.js";
import { shift } from "../data.js";
import { byDay, definitions, seriesOf, trendDays } from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */

const SHOWN = ["daily", "weekly", "monthly", "new"];

/**
 * @param {Page} page
 * @param {View} view
 */
export function showActivity(page, view) {
  const metric = view.figures.metric("active_user");
  if (!metric) return;
  showActive(page, view, metric);
  if (metric.columns.includes("returning_next_day")) showRetention(page, view);
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {import("./common.js").Metric} metric
 */
function showActive(page, view, metric) {
  const { texts } = view;
  const shown = trendDays(view);
  const measures = SHOWN.flatMap((name) => metric.measures.filter((one) => one.name === name));
  const series = seriesOf(view, "active_user", shown, measures);
  const card = page.card("activity", "active_user", "wide");
  card.say(texts.say("active"), texts.say("lastDays", shown.length));
  const names = shown.map((day) => texts.dayShort(day));
  const write = (/** @type {number} */ value) => texts.number(value);
  card.draw(
    texts,
    overCategories("active", names, series, write, (value) => texts.short(value)),
    280,
  );
  const [columns, rows] = byDay(view, shown, series, write);
  card.tell(texts, columns, rows, definitions(view, "active_user"));
}

/**
 * @param {Page} page
 * @param {View} view
 */
function showRetention(page, view) {
  const { figures, texts } = view;
  const shown = trendDays(view);
  // Who comes back the next day is not known before that day is over.
  const share = (/** @type {string} */ day) => {
    const row = figures.row("active_user", day);
    return row?.daily && !figures.isOpen(shift(day, 1)) && isFollowed(figures, day)
      ? row.returning_next_day / row.daily
      : null;
  };
  const series = [{ name: texts.say("retention"), values: shown.map(share) }];
  const card = page.card("activity", "retention", "narrow");
  card.say(texts.say("retention"), texts.say("retentionNote"));
  const write = (/** @type {number | null} */ value) => texts.percent(value ?? NaN);
  const names = shown.map((day) => texts.dayShort(day));
  card.draw(
    texts,
    overCategories("share", names, series, write, (value) => `${Math.round(value * 100)}%`),
    280,
  );
  const [columns, rows] = byDay(view, shown, series, write);
  card.tell(
    texts,
    columns,
    rows,
    definitions(view, "active_user", (one) => one.name === "returning_next_day"),
  );
}

/**
 * Whether there are messages after a day at all: of the last one nobody knows who comes back.
 *
 * @param {import("./common.js").Figures} figures
 * @param {string} day
 */
function isFollowed(figures, day) {
  return day < figures.newest;
}
