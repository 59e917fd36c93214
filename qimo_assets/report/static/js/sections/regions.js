/** Where people are. */

import { mapNote, mapOf, provinceOnMap } from "../charts.js";
import { ranked, sum } from "../data.js";
import { bar, element } from "../dom.js";
import { definitions, filterButton, HOME, keyOf, measureCells, measureColumns } from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */
/** @typedef {import("./common.js").Row} Row */
/** @typedef {{ place: string, value: number }} Place */

const SIDE_ROWS = 6;

/**
 * @param {Page} page
 * @param {View} view
 */
export function showRegions(page, view) {
  showRegion(page, view, "sender");
  showRegion(page, view, "receiver");
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {"sender" | "receiver"} party
 */
function showRegion(page, view, party) {
  const { figures, texts, days } = view;
  const name = `${party}_province`;
  if (!figures.metric(name)) return;
  const card = page.card("regions", name, "half");
  const rows = figures.over(name, days);
  const all = sum(rows, "messages");
  const isAtHome = (/** @type {Row} */ row) => row.country === HOME && provinceOnMap(row.province);
  const gather = (/** @type {Row[]} */ some) => gathered(some, (row) => keyOf(figures, name, row));
  const atHome = gather(rows.filter(isAtHome));
  const abroad = gather(rows.filter((row) => !isAtHome(row)));
  const leader = atHome[0];
  const percent = (/** @type {number} */ value) => texts.percent(value / all);
  card.say(
    texts.say(party === "sender" ? "senderMap" : "receiverMap"),
    leader ? texts.say("first", texts.name(leader.place), percent(leader.value)) : "",
  );
  const title = (/** @type {string} */ place, /** @type {number} */ value) =>
    `${texts.name(place)}\n${texts.number(value)} · ${percent(value)}`;
  const short = (/** @type {number} */ value) => texts.short(value);
  const press = (/** @type {any} */ point) => {
    const isSet = view.filter?.name === name && view.filter.key === point.name;
    if (point.name) view.setFilter(isSet ? null : { name, key: point.name });
  };
  // One scale for both lists, which stand beside each other.
  const most = Math.max(1, ...[...atHome, ...abroad].map((one) => one.value));
  const side = element(
    "div",
    { class: "side" },
    sideList(view, name, texts.say("provinces"), atHome, all, most),
    sideList(view, name, texts.say("abroad"), abroad, all, most),
  );
  card.body.replaceChildren(
    element("div", { class: "map" }, card.chart, side),
    element("p", { class: "remark approval" }, mapNote() ?? texts.say("mapNote")),
  );
  card.draw(
    texts,
    mapOf(atHome, title, short, (place) => texts.name(place)),
    340,
    press,
  );
  const text = { write: (/** @type {string} */ value) => texts.name(value) };
  card.tell(
    texts,
    [
      { title: texts.column("country"), ...text },
      { title: texts.column("province"), ...text },
      ...measureColumns(view, name),
    ],
    ranked(rows, "messages").map((row) => [
      row.country,
      provinceOnMap(row.province) ?? row.province,
      ...measureCells(view, name, row),
    ]),
    definitions(view, name),
  );
}

/**
 * @param {Row[]} rows
 * @param {(row: Row) => string} place
 * @returns {Place[]}
 */
function gathered(rows, place) {
  /** @type {Map<string, number>} */
  const values = new Map();
  for (const row of rows) values.set(place(row), (values.get(place(row)) ?? 0) + row.messages);
  return [...values]
    .map(([name, value]) => ({ place: name, value }))
    .sort((one, other) => other.value - one.value);
}

/**
 * @param {View} view
 * @param {string} place
 */
function placeName({ figures, texts }, place) {
  if (place === figures.index.unknown) return texts.say("unknownPlace");
  return place === HOME ? texts.name(HOME) + texts.say("noProvince") : texts.name(place);
}

/**
 * @param {View} view
 * @param {string} name
 * @param {string} heading
 * @param {Place[]} places
 * @param {number} all
 * @param {number} most
 */
function sideList(view, name, heading, places, all, most) {
  const { texts } = view;
  const item = (/** @type {Node | string} */ label, /** @type {number} */ value, isRest = false) =>
    element(
      "li",
      {},
      element("span", { class: "name" }, label),
      element("span", { class: "value" }, texts.percent(value / all)),
      // What many make together would be longer than the scale.
      isRest ? null : bar(value / most),
    );
  const few = places.length > SIDE_ROWS ? places.slice(0, SIDE_ROWS - 1) : places;
  const rest = places.slice(few.length);
  const items = few.map(({ place, value }) =>
    item(filterButton(view, name, place, placeName(view, place)), value),
  );
  if (rest.length) {
    items.push(
      item(
        texts.say("other", rest.length),
        rest.reduce((total, one) => total + one.value, 0),
        true,
      ),
    );
  }
  return element(
    "div",
    {},
    element("h4", {}, heading),
    element("ol", {}, items.length ? items : element("li", {}, "–")),
  );
}
