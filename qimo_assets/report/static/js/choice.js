/** What the reader chose: in the page's address, so that a link shows the same. */

import { between, shift } from "./data.js";

const LANGUAGE = "qimo-report-language";
const THEME = "qimo-report-theme";
const RANGES = ["1", "7", "30", "own"];
const VERSUS = ["previous", "week", "chosen"];
const WEEK = 7;

/** @typedef {import("./data.js").Figures} Figures */
/** @typedef {import("./sections/common.js").Versus} Versus */

/** @param {string | null} text */
function isDay(text) {
  return /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") && !Number.isNaN(Date.parse(text ?? ""));
}

export class Choice {
  constructor() {
    // `from` and `to` are null as long as the newest day is followed.
    /** @type {string | null} */
    this.from = null;
    /** @type {string | null} */
    this.to = null;
    this.range = "1";
    this.language = "zh";
    this.versus = "previous";
    /** @type {string | null} */
    this.since = null;
    /** @type {import("./sections/common.js").Filter | null} */
    this.filter = null;
    this.theme = "light";
    this.wall = false;
    /** @type {string | null} */
    this.card = null;
  }

  readAddress() {
    const address = new URLSearchParams(location.hash.slice(1));
    const [from, to] = [address.get("from"), address.get("to")];
    const both = isDay(from) && isDay(to) && (from ?? "") <= (to ?? "");
    this.from = both ? from : null;
    this.to = both ? to : null;
    const range = address.get("range") ?? "";
    if (RANGES.includes(range)) this.range = range;
    else if (both) this.range = from === to ? "1" : "own";
    const preferred = navigator.language.startsWith("zh") ? "zh" : "en";
    const language = address.get("lang") ?? localStorage.getItem(LANGUAGE) ?? preferred;
    this.language = language === "en" ? "en" : "zh";
    const versus = address.get("versus") ?? "";
    this.versus = VERSUS.includes(versus) ? versus : "previous";
    this.since = isDay(address.get("since")) ? address.get("since") : null;
    const [name, ...key] = (address.get("filter") ?? "").split(":");
    this.filter = name && key.length ? { name, key: key.join(":") } : null;
    this.wall = address.get("wall") === "1";
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const kept = localStorage.getItem(THEME) ?? system;
    const theme = address.get("theme") ?? (this.wall ? "dark" : kept);
    this.theme = theme === "dark" ? "dark" : "light";
    this.card = address.get("card");
  }

  writeAddress() {
    const address = new URLSearchParams({ lang: this.language, range: this.range });
    if (this.from && this.to) {
      address.set("from", this.from);
      address.set("to", this.to);
    }
    if (this.versus !== "previous") address.set("versus", this.versus);
    if (this.versus === "chosen" && this.since) address.set("since", this.since);
    if (this.filter) address.set("filter", `${this.filter.name}:${this.filter.key}`);
    if (this.wall) address.set("wall", "1");
    if (this.theme === "dark" && !this.wall) address.set("theme", "dark");
    history.replaceState(null, "", `#${address}`);
  }

  switchLanguage() {
    this.language = this.language === "zh" ? "en" : "zh";
    localStorage.setItem(LANGUAGE, this.language);
  }

  switchTheme() {
    this.theme = this.theme === "dark" ? "light" : "dark";
    localStorage.setItem(THEME, this.theme);
  }

  /** Follow the newest day. */
  follow() {
    Object.assign(this, { from: null, to: null, range: this.range === "own" ? "1" : this.range });
  }

  /**
   * The days that are shown, from the first to the last.
   *
   * @param {Figures} figures
   * @returns {string[]}
   */
  days(figures) {
    if (this.from && this.to) return between(this.from, this.to);
    const newest = figures.newest;
    return between(shift(newest, 1 - (Number(this.range) || 1)), newest);
  }

  /**
   * The days that these are compared with, the first as the reader wants it.
   *
   * @param {string[]} days
   * @returns {Versus[]}
   */
  comparisons(days) {
    const before = (/** @type {number} */ back) => days.map((day) => shift(day, -back));
    const weeks = Math.ceil(days.length / WEEK) * WEEK;
    /** @type {Versus} */
    const previous = { kind: "previous", days: before(days.length) };
    /** @type {Versus} */
    const week = { kind: "week", days: before(weeks) };
    const since = this.since;
    if (this.versus === "chosen" && since) {
      return [{ kind: "chosen", days: days.map((_, place) => shift(since, place)) }];
    }
    if (weeks === days.length) return [previous];
    return this.versus === "week" ? [week, previous] : [previous, week];
  }
}
