/** A titled box of the page: a chart or other content, a remark, its figures, and its tools. */

import { draw, legendOf, toggle } from "./charts.js";
import { button, element, swatch, table } from "./dom.js";
import { copy, csv, png, save } from "./export.js";

/** @typedef {import("./dom.js").Column} Column */
/** @typedef {import("./texts.js").Texts} Texts */

export class Card {
  /**
   * @param {string} id
   * @param {string} kind
   */
  constructor(id, kind) {
    const heading = `${id}-title`;
    this.id = id;
    /** @type {import("./charts.js").Legend[]} */
    this.series = [];
    /** @type {Set<string>} */
    this.hidden = new Set();
    /** @type {Column[]} */
    this.columns = [];
    /** @type {any[][]} */
    this.rows = [];
    this.isDrawn = false;
    this.title = element("h3", { id: heading });
    this.remark = element("p", { class: "remark" });
    this.opener = element("summary", {}, element("span", { "aria-hidden": "true" }, "⋯"));
    this.menu = element("div", { class: "menu" });
    this.tools = element("details", { class: "tools" }, this.opener, this.menu);
    this.legend = element("ul", { class: "legend" });
    this.chart = element("div", { class: "chart", role: "img" });
    this.empty = element("p", { class: "empty" });
    this.body = element("div", { class: "body" });
    this.summary = element("summary");
    this.figures = element("div", { class: "scroll", tabindex: "0", role: "region" });
    this.details = element("details", { class: "figures" }, this.summary, this.figures);
    this.root = element(
      "section",
      { id, class: `card ${kind}`, "aria-labelledby": heading },
      element("header", {}, this.title, this.remark),
      this.tools,
      this.legend,
      this.body,
      this.empty,
      this.details,
    );
    this.tools.addEventListener("focusout", (event) => {
      const next = /** @type {Node | null} */ (event.relatedTarget);
      if (next && !this.tools.contains(next)) this.tools.open = false;
    });
    this.tools.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.tools.open = false;
      this.opener.focus();
    });
  }

  /**
   * Begin anew with a title and a remark.
   *
   * @param {string} title
   * @param {string} remark
   */
  say(title, remark = "") {
    this.root.hidden = false;
    this.title.textContent = title;
    this.remark.textContent = remark;
    this.remark.hidden = !remark;
    this.legend.hidden = true;
    this.series = [];
    this.isDrawn = false;
    this.showBody(null);
  }

  /**
   * Show the body, or the words that stand in its place.
   *
   * @param {string | null} words
   */
  showBody(words) {
    this.body.hidden = words !== null;
    this.empty.hidden = words === null;
    this.empty.textContent = words ?? "";
  }

  /**
   * Show a chart; what its figures are, those who do not see it read in the table.
   *
   * @param {Texts} texts
   * @param {any} option
   * @param {number} height
   * @param {((point: any) => void) | null} press
   */
  draw(texts, option, height, press = null) {
    if (!this.chart.isConnected) this.body.replaceChildren(this.chart);
    const name = [this.title.textContent, this.remark.textContent].filter(Boolean).join(", ");
    this.chart.style.height = `${height}px`;
    this.chart.setAttribute("aria-label", name);
    this.chart.classList.toggle("pressable", press !== null);
    this.isDrawn = true;
    draw(this.chart, option, press);
    this.series = legendOf(option);
    this.showLegend(
      texts,
      option.series.some((/** @type {any} */ one) => one.isRest),
    );
  }

  /**
   * @param {Texts} texts
   * @param {boolean} isRunning
   */
  showLegend(texts, isRunning) {
    if (this.series.length < 2 && !isRunning) return;
    this.legend.hidden = false;
    this.legend.setAttribute("aria-label", texts.say("legend"));
    const items = this.series.map(({ name, color, symbol, dashed }) => {
      const isShown = !this.hidden.has(name);
      toggle(this.chart, name, isShown);
      const press = () => {
        if (!this.hidden.delete(name)) this.hidden.add(name);
        this.showLegend(texts, isRunning);
      };
      const made = button(name, press, { "aria-pressed": String(isShown) });
      made.prepend(swatch(symbol, color, dashed));
      return element("li", {}, made);
    });
    if (isRunning) items.push(element("li", { class: "running" }, texts.say("running")));
    const place = [...this.legend.querySelectorAll("button")].indexOf(
      /** @type {HTMLButtonElement} */ (document.activeElement),
    );
    this.legend.replaceChildren(...items);
    this.legend.querySelectorAll("button")[place]?.focus();
  }

  /**
   * Give the figures: as a table of the card, and to its tools. `definitions` are what its measures
   * mean.
   *
   * @param {Texts} texts
   * @param {Column[]} columns
   * @param {any[][]} rows
   * @param {string[]} definitions
   */
  tell(texts, columns, rows, definitions = []) {
    const title = this.title.textContent ?? "";
    Object.assign(this, { columns, rows });
    this.summary.textContent = texts.say("table");
    this.summary.setAttribute("aria-label", `${texts.say("table")}: ${title}`);
    this.figures.setAttribute("aria-label", title);
    this.figures.replaceChildren(table(title, columns, rows));
    this.details.hidden = rows.length === 0;
    if (!rows.length) this.showBody(texts.say("nothing"));
    this.showTools(texts, title, definitions);
  }

  /**
   * @param {Texts} texts
   * @param {string} title
   * @param {string[]} definitions
   */
  showTools(texts, title, definitions) {
    this.opener.setAttribute("aria-label", texts.say("tools", title));
    this.title.title = definitions.join("\n");
    const file = (/** @type {string} */ ending) => {
      const { from = "", to = "" } = this.root.dataset;
      return `${[this.id, ...new Set([from, to])].join("_")}.${ending}`;
    };
    const run = (/** @type {() => any} */ action) => async () => {
      this.tools.open = false;
      await action();
    };
    const link = button(texts.say("link"), async () => {
      await copy(this.address());
      link.textContent = texts.say("copied");
    });
    const said = definitions.length
      ? [
          element("h4", {}, texts.say("definitions")),
          element(
            "ul",
            {},
            definitions.map((one) => element("li", {}, one)),
          ),
        ]
      : [];
    this.menu.replaceChildren(
      ...said,
      button(
        texts.say("csv"),
        run(() =>
          save(new Blob([csv(this.columns, this.rows)], { type: "text/csv" }), file("csv")),
        ),
      ),
      button(
        texts.say("png"),
        run(async () => {
          const remark = this.remark.textContent ?? "";
          const chart = this.isDrawn ? this.chart : null;
          const { series: legend, columns, rows } = this;
          const picture = await png({ title, remark, legend, chart, columns, rows });
          if (picture) save(picture, file("png"));
        }),
      ),
      link,
      button(
        texts.say("fullScreen"),
        run(() =>
          document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen?.(),
        ),
      ),
    );
  }

  /** Where this card is, with the days that are shown. */
  address() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const { from, to } = this.root.dataset;
    if (from && to) for (const [key, day] of Object.entries({ from, to })) parts.set(key, day);
    parts.set("card", this.id);
    return `${location.href.split("#")[0]}#${parts}`;
  }
}
