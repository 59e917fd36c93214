/** The page: the controls, and a look every half minute whether something new is published. */

import { fit, prepare, useTheme } from "./charts.js";
import { Choice } from "./choice.js";
import { between, fetchJson, Figures, shift } from "./data.js";
import { button, get } from "./dom.js";
import { Pulse } from "./freshness.js";
import { Page } from "./page.js";
import { Texts } from "./texts.js";

const POLL_MS = 30_000;
const TICK_MS = 1000;
const TREND_DAYS = 30;

const figures = new Figures();
const pulse = new Pulse();
const choice = new Choice();
const page = new Page(get("content"));
let texts = new Texts("zh");

/** @param {string} id */
function field(id) {
  return /** @type {HTMLInputElement} */ (get(id));
}

function ranges() {
  return /** @type {NodeListOf<HTMLInputElement>} */ (document.getElementsByName("range"));
}

/**
 * Show so many days up to one.
 *
 * @param {string} to
 * @param {string} range
 */
function choose(to, range = choice.range) {
  const days = range === "own" ? choice.days(figures).length : Number(range);
  const [oldest, newest] = [figures.days[0], figures.newest];
  const last = to > newest ? newest : to < oldest ? oldest : to;
  Object.assign(choice, { range, from: shift(last, 1 - days), to: last });
  changed();
}

/** Go to the days before, or as far back as the next day that has figures. */
function earlier() {
  const days = choice.days(figures);
  const to = shift(days[0], -1);
  choose(figures.days.filter((day) => day <= to).pop() ?? to);
}

/** Go to the days after, or as far on as the next day that has figures. */
function later() {
  const days = choice.days(figures);
  const last = days[days.length - 1];
  const next = figures.days.find((day) => day > last) ?? last;
  const end = shift(last, days.length);
  choose(next > end ? shift(next, days.length - 1) : end);
}

function changed() {
  choice.writeAddress();
  show().catch(complain);
}

/** @param {import("./sections/common.js").Filter | null} filter */
function setFilter(filter) {
  choice.filter = filter;
  changed();
}

function speak() {
  texts = new Texts(choice.language);
  document.documentElement.lang = texts.locale;
  document.title = texts.say("title");
  for (const item of document.querySelectorAll("[data-text]")) {
    item.textContent = texts.say(/** @type {HTMLElement} */ (item).dataset.text ?? "");
  }
  for (const item of document.querySelectorAll("[data-label]")) {
    const label = /** @type {HTMLElement} */ (item).dataset.label ?? "";
    item.setAttribute("aria-label", texts.say(label));
  }
  const language = get("language");
  language.textContent = texts.say("language");
  language.lang = choice.language === "zh" ? "en" : "zh-CN";
  get("theme").textContent = texts.say(choice.theme === "dark" ? "light" : "dark");
  get("wall").textContent = texts.say(choice.wall ? "leaveWall" : "wall");
}

function dress() {
  document.documentElement.dataset.theme = choice.theme;
  document.documentElement.classList.toggle("wall", choice.wall);
  useTheme(choice.theme);
}

/** @param {unknown} error */
function complain(error) {
  console.error(error);
  tell(texts.say("unreadable"));
}

/** @param {string | null} text */
function tell(text) {
  const message = get("message");
  message.hidden = text === null;
  // An alert that says the same again is not read out again.
  if (message.textContent !== (text ?? "")) message.textContent = text ?? "";
}

async function show() {
  speak();
  dress();
  const empty = figures.days.length === 0;
  get("controls").hidden = empty;
  get("content").hidden = empty;
  showFreshness();
  if (empty) {
    get("period").textContent = "";
    return tell(texts.say("empty"));
  }
  const days = choice.days(figures);
  const versus = choice.comparisons(days);
  const last = days[days.length - 1];
  const trend = between(shift(last, 1 - TREND_DAYS), last);
  await figures.load([...versus.flatMap((one) => one.days), ...trend, ...days, shift(last, 1)]);
  // Another choice was made while the months came.
  if (choice.days(figures).join() !== days.join()) return undefined;
  if (choice.filter && !figures.metric(choice.filter.name)) choice.filter = null;
  showControls(days);
  showFilter();
  page.show({
    figures,
    texts,
    days,
    versus,
    trend,
    filter: choice.filter,
    setFilter,
    wall: choice.wall,
  });
  showNotes(days);
  showCard();
  return tell(days.some((day) => day in figures.index.days) ? null : texts.say("noDay"));
}

function showFreshness() {
  const { text, isOld, warning } = pulse.judge(figures, texts);
  const freshness = get("freshness");
  freshness.textContent = text;
  freshness.classList.toggle("old", isOld);
  const banner = get("banner");
  banner.hidden = warning === null;
  if (banner.textContent !== (warning ?? "")) banner.textContent = warning ?? "";
}

/** @param {string[]} days */
function showControls(days) {
  const [from, to] = [days[0], days[days.length - 1]];
  const open = days.find((day) => figures.isOpen(day) && day in figures.index.days);
  const parts = [from === to ? texts.day(to) : `${texts.day(from)} – ${texts.day(to)}`];
  if (from !== to) parts.push(texts.say("days", days.length));
  if (open) parts.push(texts.say("unfinished", figures.asOf(open).slice(11, 16)));
  get("period").textContent = parts.join(" · ");
  for (const input of ranges()) input.checked = input.value === choice.range;
  for (const [id, day] of [
    ["from", from],
    ["to", to],
  ]) {
    const input = field(id);
    input.value = day;
    input.min = figures.days[0];
    input.max = figures.newest;
  }
  get("from-label").hidden = choice.range !== "own";
  get("dash").hidden = choice.range !== "own";
  /** @type {HTMLButtonElement} */ (get("earlier")).disabled = from <= figures.days[0];
  /** @type {HTMLButtonElement} */ (get("later")).disabled = to >= figures.newest;
  /** @type {HTMLButtonElement} */ (get("newest")).disabled = !choice.to;
  /** @type {HTMLSelectElement} */ (get("versus")).value = choice.versus;
  get("since-label").hidden = choice.versus !== "chosen";
  const since = field("since");
  since.value = choice.since ?? "";
  since.min = figures.days[0];
  since.max = figures.newest;
}

function showFilter() {
  const place = get("filter");
  const filter = choice.filter;
  place.hidden = filter === null;
  if (!filter) return;
  const metric = figures.metric(filter.name);
  const name = `${metric ? texts.metric(metric) : ""} = ${texts.name(filter.key)}`;
  const people = texts.say(filter.name === "receiver_province" ? "receivers" : "senders");
  const label = texts.say("clearFilter", name);
  place.replaceChildren(
    texts.say("filterNote", name, people),
    button("×", () => setFilter(null), { "aria-label": label, title: label }),
  );
}

/** @param {string[]} days */
function showNotes(days) {
  const notes = ["noteTime", "noteDistinct"];
  if (days.some((day) => figures.isOpen(day))) notes.push("noteOpen");
  if (figures.index.masked) notes.push("noteMasked");
  notes.push("noteSource");
  get("notes").textContent = notes.map((note) => texts.say(note)).join(" ");
}

/** Go to the card that a link names, once. */
function showCard() {
  const id = choice.card;
  choice.card = null;
  if (id && page.cards.has(id)) get(id).scrollIntoView({ block: "center" });
}

function listen() {
  for (const input of ranges()) {
    input.addEventListener("change", () => {
      const days = choice.days(figures);
      if (choice.to || input.value === "own") return choose(days[days.length - 1], input.value);
      choice.range = input.value;
      return changed();
    });
  }
  get("from").addEventListener("change", () => chooseOwn("from"));
  get("to").addEventListener("change", () => chooseOwn("to"));
  get("earlier").addEventListener("click", earlier);
  get("later").addEventListener("click", later);
  get("newest").addEventListener("click", () => {
    choice.follow();
    changed();
  });
  get("versus").addEventListener("change", () => {
    choice.versus = /** @type {HTMLSelectElement} */ (get("versus")).value;
    const days = choice.days(figures);
    choice.since ??= shift(days[0], -days.length);
    changed();
  });
  get("since").addEventListener("change", () => {
    if (field("since").value) choice.since = field("since").value;
    changed();
  });
  get("language").addEventListener("click", () => {
    choice.switchLanguage();
    changed();
  });
  get("theme").addEventListener("click", () => {
    choice.switchTheme();
    changed();
  });
  get("wall").addEventListener("click", enterOrLeaveWall);
  get("print").addEventListener("click", () => window.print());
  get("controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => {
    choice.readAddress();
    show().catch(complain);
  });
  // A menu closes when something else is touched.
  document.addEventListener("pointerdown", (event) => {
    for (const menu of document.querySelectorAll("details.tools[open]")) {
      if (!menu.contains(/** @type {Node} */ (event.target))) menu.removeAttribute("open");
    }
  });
  // Charts are as wide as their elements, which the printed page makes narrower. Paper is white.
  window.addEventListener("beforeprint", () => dressForPaper(true));
  window.addEventListener("afterprint", () => dressForPaper(false));
}

/** @param {boolean} isPaper */
function dressForPaper(isPaper) {
  const root = document.documentElement;
  root.classList.toggle("printing", isPaper);
  root.classList.toggle("wall", choice.wall && !isPaper);
  if (choice.theme === "dark") {
    root.dataset.theme = isPaper ? "light" : "dark";
    useTheme(root.dataset.theme);
    page.redraw();
  }
  fit();
}

/** The wall: a dark page without controls that follows the newest day, for a screen on a wall. */
function enterOrLeaveWall() {
  choice.wall = !choice.wall;
  if (choice.wall) {
    choice.follow();
    Object.assign(choice, { filter: null, theme: "dark" });
    document.documentElement.requestFullscreen?.().catch(() => undefined);
  } else {
    choice.theme = localStorage.getItem("qimo-report-theme") === "dark" ? "dark" : "light";
    if (document.fullscreenElement) document.exitFullscreen();
  }
  changed();
}

/** @param {"from" | "to"} name */
function chooseOwn(name) {
  const value = field(name).value;
  if (!value) return undefined;
  if (choice.range !== "own") return choose(value);
  const days = choice.days(figures);
  const chosen = { from: days[0], to: days[days.length - 1], [name]: value };
  // The other end gives way, so that the last touched one always holds.
  if (chosen.from > chosen.to) chosen[name === "from" ? "to" : "from"] = value;
  Object.assign(choice, chosen);
  return changed();
}

async function look() {
  try {
    const [isNew] = await Promise.all([figures.update(), pulse.update()]);
    if (isNew || !get("message").hidden) await show();
    else showFreshness();
  } catch (error) {
    complain(error);
  }
}

async function start() {
  choice.readAddress();
  speak();
  dress();
  listen();
  const map = await fetchJson("data/map.json");
  const options = await waitForCharts();
  prepare(options, map);
  await look();
  setInterval(() => document.hidden || look(), POLL_MS);
  setInterval(() => document.hidden || showFreshness(), TICK_MS);
  document.addEventListener("visibilitychange", () => document.hidden || look());
}

/** The options of the charts come with the first publication; until then the page says so. */
async function waitForCharts() {
  for (;;) {
    const options = await fetchJson("data/charts.json");
    if (options) return options;
    tell(texts.say("empty"));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS / 6));
  }
}

start().catch(complain);
