/** The page's sections, and the cards in them. */

import { Card } from "./card.js";
import { element } from "./dom.js";
import { showActivity } from "./sections/activity.js";
import { showDevices } from "./sections/devices.js";
import { showHealth } from "./sections/health.js";
import { showOthers } from "./sections/others.js";
import { showOverview } from "./sections/overview.js";
import { showPeople } from "./sections/people.js";
import { showRegions } from "./sections/regions.js";

/** @type {[string, (page: Page, view: import("./sections/common.js").View) => void][]} */
const SECTIONS = [
  ["overview", showOverview],
  ["regions", showRegions],
  ["people", showPeople],
  ["devices", showDevices],
  ["activity", showActivity],
  ["health", showHealth],
  ["others", showOthers],
];

/** The sections below each other, and the cards in them, which stay when their content changes. */
export class Page {
  /** @param {HTMLElement} root */
  constructor(root) {
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    /** @type {Set<string>} lists that are shown whole */
    this.all = new Set();
    /** @type {Map<string, { section: HTMLElement, heading: HTMLElement, grid: HTMLElement }>} */
    this.sections = new Map();
    /** @type {import("./sections/common.js").View | null} */
    this.view = null;
    for (const [name] of SECTIONS) {
      const heading = element("h2", { id: name });
      const grid = element("div", { class: "grid" });
      const attributes = { class: "section", "aria-labelledby": name };
      const section = element("section", attributes, heading, grid);
      root.append(section);
      this.sections.set(name, { section, heading, grid });
    }
  }

  /**
   * Show what is in view.
   *
   * @param {import("./sections/common.js").View} view
   */
  show(view) {
    this.view = view;
    for (const card of this.cards.values()) card.root.hidden = true;
    for (const [, show] of SECTIONS) show(this, view);
    for (const card of this.cards.values()) {
      Object.assign(card.root.dataset, { from: view.days[0], to: view.days[view.days.length - 1] });
    }
    for (const [name, { section, heading, grid }] of this.sections) {
      heading.textContent = view.texts.say(name);
      section.hidden = [...grid.children].every(
        (child) => /** @type {HTMLElement} */ (child).hidden,
      );
    }
  }

  /** Show the same again, as after a change of colours. */
  redraw() {
    if (this.view) this.show(this.view);
  }

  /**
   * The card of this name, made when it is asked for first.
   *
   * @param {string} section
   * @param {string} id
   * @param {string} kind
   */
  card(section, id, kind) {
    const known = this.cards.get(id);
    if (known) return known;
    const card = new Card(id, kind);
    this.cards.set(id, card);
    this.sections.get(section)?.grid.append(card.root);
    return card;
  }
}
