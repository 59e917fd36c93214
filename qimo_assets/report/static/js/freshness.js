/** How old the newest figures are, and what is wrong when they are old. */

import { fetchWithClock } from "./data.js";

/** @typedef {import("./texts.js").Texts} Texts */
/** @typedef {import("./data.js").Figures} Figures */
/**
 * What the platform last saw of itself: when it looked whether there is anything new, in seconds of
 * the epoch, and how many lines were waiting then; null where the broker did not say.
 *
 * @typedef {{ checked_at: number, waiting: number | null }} State
 */
/** @typedef {{ text: string, isOld: boolean, warning: string | null }} Freshness */

// As the freshness policies of the metrics warn.
const OLD_SECONDS = 15 * 60;
const UNCHECKED_SECONDS = 5 * 60;
// So many lines wait while a batch is on its way; more are a backlog.
const WAITING_ALLOWED = 200_000;
const SHANGHAI = "+08:00";

export class Pulse {
  constructor() {
    /** @type {State | null} */
    this.state = null;
    this.ahead = 0;
  }

  /** Ask what the platform last saw of itself, and for the time of the server's clock. */
  async update() {
    const answer = await fetchWithClock("data/state.json");
    this.state = answer?.content ?? null;
    // A clock of the reader's that is wrong makes no figure older.
    if (answer) this.ahead = answer.now - Date.now();
  }

  get now() {
    return (Date.now() + this.ahead) / 1000;
  }

  /**
   * @param {Figures} figures
   * @param {Texts} texts
   * @returns {Freshness}
   */
  judge(figures, texts) {
    const published = figures.index.published_at;
    if (!published) return { text: "", isOld: false, warning: null };
    const at = Date.parse(published.replace(" ", "T") + SHANGHAI) / 1000;
    const age = Math.max(0, this.now - at);
    const text = texts.say("fresh", published.slice(5, 16), texts.durationShort(age));
    return { text, isOld: age > OLD_SECONDS, warning: this.warning(age, published, texts) };
  }

  /**
   * @param {number} age
   * @param {string} published
   * @param {Texts} texts
   */
  warning(age, published, texts) {
    const old = texts.durationShort(age);
    if (!this.state) return age > OLD_SECONDS ? texts.say("old", old) : null;
    const unchecked = this.now - this.state.checked_at;
    if (unchecked > UNCHECKED_SECONDS) {
      return texts.say("unchecked", texts.durationShort(unchecked), published.slice(0, 16));
    }
    const waiting = this.state.waiting;
    if (waiting === null) {
      return age > OLD_SECONDS ? `${texts.say("old", old)} ${texts.say("brokerSilent")}` : null;
    }
    if (waiting > WAITING_ALLOWED || (waiting > 0 && age > OLD_SECONDS)) {
      return texts.say("behind", texts.number(waiting), published.slice(0, 16));
    }
    return age > OLD_SECONDS ? texts.say("quiet", old) : null;
  }
}
