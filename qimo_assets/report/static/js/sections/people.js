/** Who writes to whom. */

import { ranked, sum } from "../data.js";
import { bar, button, element, table } from "../dom.js";
import { definitions, FEW } from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */

// The darkest of the shades of report.css.
const SHADES = 4;

/**
 * @param {Page} page
 * @param {View} view
 */
export function showPeople(page, view) {
  if (view.figures.metric("sex_pair")) showSexes(page, view);
  showTop(page, view, "sender");
  showTop(page, view, "receiver");
}

/**
 * @param {Page} page
 * @param {View} view
 */
function showSexes(page, view) {
  const { figures, texts, days } = view;
  const card = page.card("people", "sexes", "third");
  const rows = figures.over("sex_pair", days);
  const all = sum(rows, "messages");
  const known = rows.flatMap((row) => [row.sender_sex, row.receiver_sex]);
  const sexes = [...new Set(["男", "女", figures.index.unknown, ...known])].filter((sex) =>
    known.includes(sex),
  );
  const cells = sexes.map((sender) =>
    sexes.map(
      (receiver) =>
        rows.find((row) => row.sender_sex === sender && row.receiver_sex === receiver)?.messages ??
        0,
    ),
  );
  card.say(texts.say("sexes"), texts.say("sexesNote"));
  const names = sexes.map((sex) => texts.name(sex));
  card.body.replaceChildren(matrix(texts, names, cells, all));
  const text = { write: (/** @type {string} */ value) => texts.name(value) };
  card.tell(
    texts,
    [
      { title: texts.say("sender"), ...text },
      { title: texts.say("receiver"), ...text },
      { title: texts.say("messages"), number: true, write: (value) => texts.number(value) },
    ],
    sexes.flatMap((sender, row) =>
      sexes.map((receiver, place) => [sender, receiver, cells[row][place]]),
    ),
    definitions(view, "sex_pair"),
  );
  // The matrix is its own table.
  card.figures.replaceChildren();
  card.details.hidden = true;
}

/**
 * A table whose cells are the darker, the larger they are.
 *
 * @param {import("./common.js").Texts} texts
 * @param {string[]} names
 * @param {number[][]} cells
 * @param {number} all
 */
function matrix(texts, names, cells, all) {
  const most = Math.max(1, ...cells.flat());
  const cell = (/** @type {number} */ value) =>
    element(
      "td",
      { class: `shade shade-${Math.round((value / most) * SHADES)}` },
      element("strong", {}, texts.number(value)),
      element("span", {}, texts.percent(value / all)),
    );
  const head = names.map((name) => element("th", { scope: "col" }, `→ ${name}`));
  const body = cells.map((row, place) =>
    element("tr", {}, element("th", { scope: "row" }, `${names[place]} →`), row.map(cell)),
  );
  return element(
    "table",
    { class: "matrix" },
    element("caption", { class: "hidden" }, texts.say("sexesNote")),
    element("thead", {}, element("tr", {}, element("td"), head)),
    element("tbody", {}, body),
  );
}

/**
 * @param {Page} page
 * @param {View} view
 * @param {"sender" | "receiver"} party
 */
function showTop(page, view, party) {
  const { figures, texts, days } = view;
  const name = `${party}_top`;
  if (!figures.metric(name)) return;
  const card = page.card("people", name, "third list");
  const rows = ranked(
    figures.over(name, days, (row) => row.account_id ?? row.account),
    "messages",
  );
  const most = rows[0]?.messages ?? 1;
  const open = page.all.has(name);
  card.say(
    texts.say(party === "sender" ? "senderTop" : "receiverTop"),
    days.length > 1 ? texts.say("topNote") : "",
  );
  /** @type {import("../dom.js").Column[]} */
  const columns = [
    { title: texts.say("rank"), number: true },
    { title: texts.say("nickname"), write: (value) => texts.name(value) },
    { title: texts.say("account") },
    { title: texts.say("messages"), number: true, write: (value) => texts.number(value) },
  ];
  const lines = rows.map((row, place) => [place + 1, row.nickname, row.account, row.messages]);
  card.tell(texts, columns, lines, definitions(view, name));
  card.figures.replaceChildren();
  card.details.hidden = true;
  if (!rows.length) return;
  const shown = lines
    .slice(0, open ? lines.length : FEW)
    .map(([rank, nickname, account, count]) => [
      rank,
      element("span", { class: "nickname" }, texts.name(nickname)),
      element("span", { class: "account" }, account),
      element("span", { class: "measured" }, texts.number(count), bar(count / most)),
    ]);
  const listed = table(card.title.textContent ?? "", columns, shown);
  const scroll = element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": card.title.id },
    listed,
  );
  card.body.replaceChildren(scroll);
  if (rows.length <= FEW) return;
  const words = open ? texts.say("showFew", FEW) : texts.say("showAll", rows.length);
  const press = () => {
    if (!page.all.delete(name)) page.all.add(name);
    showTop(page, view, party);
    /** @type {HTMLElement | null} */ (card.body.querySelector(".more"))?.focus();
  };
  card.body.append(button(words, press, { class: "more", "aria-expanded": String(open) }));
}
