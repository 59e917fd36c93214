/** On what, over what, and what people write. */

import { overCategories, ranking } from "../charts.js";
import { ranked, sum } from "../data.js";
import { definitions, FEW, filterButton, lit, measureCells, measureColumns } from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */

const BANDS = ["0-1", "1-10", "10-100", "100-1000", "1000+"];

/**
 * @param {Page} page
 * @param {View} view
 */
export function showDevices(page, view) {
  showRanking(page, view, "phone_type", "phones", "wide");
  showRanking(page, view, "os", "systems", "narrow");
  showRanking(page, view, "network", "networks", "narrow");
  showRanking(page, view, "message_type", "types", "half");
  if (view.figures.metric("distance_band")) showBands(page, view);
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {string} name
 * @param {"phones" | "systems" | "networks" | "types"} title
 * @param {string} kind
 */
function showRanking(page, view, name, title, kind) {
  const { figures, texts, days } = view;
  const metric = figures.metric(name);
  if (!metric) return;
  const rows = ranked(figures.over(name, days), "messages");
  const all = sum(rows, "messages");
  const [dimension] = metric.grain;
  const card = page.card("devices", name, kind);
  const leader = rows[0];
  const percent = (/** @type {number} */ value) => texts.percent(value / all);
  card.say(
    texts.say(title),
    leader ? texts.say("first", texts.name(leader[dimension]), percent(leader.messages)) : "",
  );
  const few = rows.length > FEW ? rows.slice(0, FEW - 1) : rows;
  const rest = rows.slice(few.length);
  const label = (/** @type {number} */ value) => `${texts.number(value)} · ${percent(value)}`;
  const shown = few.map((row) => ({
    name: texts.name(row[dimension]),
    value: row.messages,
    label: label(row.messages),
    isOther: false,
  }));
  if (rest.length) {
    const value = sum(rest, "messages");
    const text = texts.say("other", rest.length);
    shown.push({ name: text, value, label: label(value), isOther: true });
  }
  const write = (/** @type {number} */ value) => texts.number(value);
  const press = (/** @type {any} */ point) => {
    const key = few[point.dataIndex]?.[dimension];
    const isSet = view.filter?.name === name && view.filter.key === key;
    if (key !== undefined) view.setFilter(isSet ? null : { name, key: String(key) });
  };
  card.draw(texts, ranking(shown, write, lit(view, name)), heightOf(kind, shown.length), press);
  card.tell(
    texts,
    [
      { title: texts.column(dimension) },
      ...measureColumns(view, name),
      { title: texts.say("share"), number: true, write: (value) => texts.percent(value) },
    ],
    rows.map((row) => [
      filterButton(view, name, String(row[dimension]), texts.name(row[dimension])),
      ...measureCells(view, name, row),
      row.messages / all,
    ]),
    definitions(view, name),
  );
}

/**
 * As high as the cards beside it; where cards stand alone, as its bars need.
 *
 * @param {string} kind
 * @param {number} rows
 */
function heightOf(kind, rows) {
  if (window.matchMedia("(max-width: 900px)").matches) return rows * 32 + 24;
  return kind === "half" ? 260 : 320;
}

/**
 * @param {Page} page
 * @param {View} view
 */
function showBands(page, view) {
  const { figures, texts, days } = view;
  const card = page.card("devices", "distance_band", "half");
  const rows = figures.over("distance_band", days);
  const all = sum(rows, "messages");
  const place = (/** @type {string} */ band) =>
    BANDS.includes(band) ? BANDS.indexOf(band) : BANDS.length;
  const ordered = [...rows].sort((one, other) => place(one.band) - place(other.band));
  card.say(texts.say("bands"));
  const series = [{ name: texts.say("messages"), values: ordered.map((row) => row.messages) }];
  const names = ordered.map((row) => texts.name(row.band));
  const write = (/** @type {number} */ value) => texts.number(value);
  card.draw(
    texts,
    overCategories("bands", names, series, write, (value) => texts.short(value)),
    260,
  );
  card.tell(
    texts,
    [
      { title: texts.column("band"), write: (value) => texts.name(value) },
      ...measureColumns(view, "distance_band"),
      { title: texts.say("share"), number: true, write: (value) => texts.percent(value) },
    ],
    ordered.map((row) => [
      row.band,
      ...measureCells(view, "distance_band", row),
      row.messages / all,
    ]),
    definitions(view, "distance_band"),
  );
}
