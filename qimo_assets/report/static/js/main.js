/** The page: what is chosen, the controls, and a look every half minute whether something new is published. */

import { fit, prepare } from "./charts.js";
import { between, Figures, fetchJson, shift, today } from "./data.js";
import { Page } from "./page.js";
import { Texts } from "./texts.js";

const POLL_MS = 30_000;
const TREND_DAYS = 30;
const LANGUAGE = "qimo-report-language";

const figures = new Figures();
const page = new Page(document.getElementById("content"));
const get = (id) => document.getElementById(id);
// `from` and `to` are null as long as the newest day is followed.
const chosen = { from: null, to: null, range: "1", language: "zh" };
let texts = new Texts("zh");

function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const isDay = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") && !Number.isNaN(Date.parse(text));
  const [from, to] = [address.get("from"), address.get("to")];
  const both = isDay(from) && isDay(to) && from <= to;
  chosen.from = both ? from : null;
  chosen.to = both ? to : null;
  if (["1", "7", "30", "own"].includes(address.get("range"))) chosen.range = address.get("range");
  else if (both) chosen.range = from === to ? "1" : "own";
  const language = address.get("lang") ?? localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  chosen.language = language === "en" ? "en" : "zh";
}

function writeAddress() {
  const address = new URLSearchParams({ lang: chosen.language, range: chosen.range });
  if (chosen.to) for (const name of ["from", "to"]) address.set(name, chosen[name]);
  history.replaceState(null, "", `#${address}`);
}

/** The first and last day that are shown. */
function period() {
  if (chosen.to) return [chosen.from, chosen.to];
  const newest = newestDay();
  return [shift(newest, 1 - (Number(chosen.range) || 1)), newest];
}

/** The newest day that has messages; a day further on may only have figures of days before it. */
function newestDay() {
  const latest = [today(figures.index.timezone), figures.index.newest ?? "9999"].sort()[0];
  const days = figures.days.filter((day) => day <= latest);
  return days[days.length - 1] ?? figures.days[figures.days.length - 1];
}

function choose(to, range = chosen.range) {
  const length = between(...period()).length;
  const [oldest, newest] = [figures.days[0], newestDay()];
  const days = range === "own" ? length : Number(range);
  const last = to > newest ? newest : to < oldest ? oldest : to;
  Object.assign(chosen, { range, from: shift(last, 1 - days), to: last });
  changed();
}

function changed() {
  writeAddress();
  show().catch(complain);
}

function speak() {
  texts = new Texts(chosen.language);
  document.documentElement.lang = texts.locale;
  document.title = texts.say("title");
  for (const item of document.querySelectorAll("[data-text]")) item.textContent = texts.say(item.dataset.text);
  for (const item of document.querySelectorAll("[data-label]")) item.setAttribute("aria-label", texts.say(item.dataset.label));
  const language = get("language");
  language.textContent = texts.say("language");
  language.lang = chosen.language === "zh" ? "en" : "zh-CN";
}

function complain(error) {
  console.error(error);
  tell(texts.say("unreadable"));
}

function tell(text) {
  const message = get("message");
  message.hidden = !text;
  message.textContent = text ?? "";
}

async function show() {
  speak();
  const empty = figures.days.length === 0;
  get("controls").hidden = empty;
  get("content").hidden = empty;
  get("freshness").textContent = figures.index?.published_at ? texts.say("published", figures.index.published_at) : "";
  if (empty) {
    get("period").textContent = "";
    return tell(texts.say("empty"));
  }
  const [from, to] = period();
  const days = between(from, to);
  const earlier = days.map((day) => shift(day, -days.length));
  const trend = between(shift(to, 1 - TREND_DAYS), to);
  await figures.load([...earlier, ...trend, ...days]);
  // Another choice was made while the months came.
  if (period().join() !== [from, to].join()) return undefined;
  showControls(from, to);
  page.show({ figures, texts, days, earlier, trend });
  showNotes();
  return tell(days.some((day) => day in figures.index.days) ? null : texts.say("noDay"));
}

function showControls(from, to) {
  const count = between(from, to).length;
  const period = from === to ? texts.day(to) : `${texts.day(from)} – ${texts.day(to)} · ${texts.say("days", count)}`;
  const unfinished = to >= today(figures.index.timezone) ? ` · ${texts.say("unfinished")}` : "";
  get("period").textContent = period + unfinished;
  for (const input of document.getElementsByName("range")) input.checked = input.value === chosen.range;
  for (const [id, day] of [["from", from], ["to", to]]) {
    const input = get(id);
    input.value = day;
    input.min = figures.days[0];
    input.max = newestDay();
  }
  get("from-label").hidden = chosen.range !== "own";
  get("dash").hidden = chosen.range !== "own";
  get("earlier").disabled = from <= figures.days[0];
  get("later").disabled = to >= newestDay();
  get("newest").disabled = !chosen.to;
}

function showNotes() {
  const notes = ["noteTime", "noteDistinct", ...(figures.index.masked ? ["noteMasked"] : []), "noteSource"];
  get("notes").textContent = notes.map((note) => texts.say(note)).join(" ");
}

function listen() {
  for (const input of document.getElementsByName("range")) {
    input.addEventListener("change", () => {
      if (chosen.to || input.value === "own") return choose(period()[1], input.value);
      chosen.range = input.value;
      return changed();
    });
  }
  get("from").addEventListener("change", (event) => chooseOwn(event.target, "from"));
  get("to").addEventListener("change", (event) => chooseOwn(event.target, "to"));
  get("earlier").addEventListener("click", () => choose(shift(period()[0], -1)));
  get("later").addEventListener("click", () => choose(shift(period()[1], between(...period()).length)));
  get("newest").addEventListener("click", () => {
    Object.assign(chosen, { from: null, to: null, range: chosen.range === "own" ? "1" : chosen.range });
    changed();
  });
  get("language").addEventListener("click", () => {
    chosen.language = chosen.language === "zh" ? "en" : "zh";
    localStorage.setItem(LANGUAGE, chosen.language);
    changed();
  });
  get("print").addEventListener("click", () => window.print());
  get("controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", () => {
    readAddress();
    show().catch(complain);
  });
  // Charts are as wide as their elements, which the printed page makes narrower.
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    fit();
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    fit();
  });
}

function chooseOwn(input, name) {
  if (!input.value) return;
  if (chosen.range !== "own") return choose(input.value);
  const [from, to] = period();
  const days = { from, to, [name]: input.value };
  // The other end gives way, so that the last touched one always holds.
  if (days.from > days.to) days[name === "from" ? "to" : "from"] = input.value;
  Object.assign(chosen, days);
  return changed();
}

async function look() {
  try {
    const isNew = await figures.update();
    if (isNew || !get("message").hidden) await show();
  } catch (error) {
    complain(error);
  }
}

async function start() {
  readAddress();
  speak();
  listen();
  const map = await fetchJson("vendor/china.json");
  const options = await waitForCharts();
  prepare(options, map);
  await look();
  setInterval(() => document.hidden || look(), POLL_MS);
  document.addEventListener("visibilitychange", () => document.hidden || look());
}

/** The options of the charts come with the first publication; until then the page says that there is nothing. */
async function waitForCharts() {
  for (;;) {
    const options = await fetchJson("data/charts.json");
    if (options) return options;
    tell(texts.say("empty"));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS / 6));
  }
}

start().catch(complain);
