/**
 * Loads the published figures, a month at a time, and brings days together: sums where figures add
 * up, daily means of whole days where they do not.
 */

/** @typedef {{ name: string, zh: string, en: string, adds: boolean }} Measure */
/**
 * @typedef {{
 *   name: string, zh: string, en: string, unit: string,
 *   columns: string[], grain: string[], measures: Measure[],
 * }} Metric
 */
/**
 * What is published. `published_at` and the values of `published` are times of Shanghai, such as
 * "2026-11-28 14:09:05"; `published` holds those of the newest days.
 *
 * @typedef {{
 *   format: string, published_at: string | null, published: Record<string, string>,
 *   timezone: string, unknown: string, masked: boolean, newest: string | null, state: string,
 *   days: Record<string, string>, metrics: Metric[],
 * }} Index
 */
/** @typedef {Record<string, any>} Row */

const DAY_MS = 86_400_000;
// So long after an hour or a day its last messages may still be on their way.
const SETTLED_MINUTES = 5;

/**
 * The day so many days after another.
 *
 * @param {string} day
 * @param {number} days
 */
export function shift(day, days) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/**
 * Every day from one to another, both included.
 *
 * @param {string} from
 * @param {string} to
 */
export function between(from, to) {
  const span = Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`);
  const count = Math.round(span / DAY_MS) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, place) => shift(from, place));
}

/**
 * Fetch a JSON file of the report; null where there is none yet.
 *
 * @param {string} path
 * @returns {Promise<{ content: any, now: number } | null>} with the server's clock in milliseconds
 */
export async function fetchWithClock(path) {
  const answer = await fetch(path, { cache: "no-cache" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const date = Date.parse(answer.headers.get("date") ?? "");
  return { content: await answer.json(), now: Number.isNaN(date) ? Date.now() : date };
}

/** @param {string} path */
export async function fetchJson(path) {
  return (await fetchWithClock(path))?.content ?? null;
}

/** What is published. */
export class Figures {
  constructor() {
    /** @type {Index} */
    this.index = {
      format: "",
      published_at: null,
      published: {},
      timezone: "Asia/Shanghai",
      unknown: "未知",
      masked: false,
      newest: null,
      state: "",
      days: {},
      metrics: [],
    };
    /** @type {Map<string, { state: string, content: Record<string, Record<string, any[][]>> }>} */
    this.months = new Map();
  }

  /** Read the index again; return whether anything is new. */
  async update() {
    const index = await fetchJson("data/index.json");
    const changed = index && JSON.stringify(index) !== JSON.stringify(this.index);
    if (index) this.index = index;
    return Boolean(changed);
  }

  get days() {
    return Object.keys(this.index.days).sort();
  }

  /**
   * The newest day that has messages; a day further on may only have figures of days before it, or
   * messages of clocks that are ahead.
   *
   * @returns {string}
   */
  get newest() {
    const latest = [this.index.published_at?.slice(0, 10), this.index.newest]
      .map((day) => day ?? "9999")
      .sort()[0];
    const days = this.days;
    return days.filter((day) => day <= latest).pop() ?? days[days.length - 1];
  }

  /** @param {string} name */
  metric(name) {
    return this.index.metrics.find((metric) => metric.name === name);
  }

  /**
   * When the figures of a day were published.
   *
   * @param {string} day
   */
  asOf(day) {
    return this.index.published?.[day] ?? this.index.published_at ?? "";
  }

  /**
   * Whether a day was still going on when the newest figures were published, so that its own are
   * not those of a whole day.
   *
   * @param {string} day
   */
  isOpen(day) {
    return (this.index.published_at ?? "") < `${shift(day, 1)} 00:0${SETTLED_MINUTES}`;
  }

  /** @param {string[]} days */
  closed(days) {
    return days.filter((day) => !this.isOpen(day));
  }

  /**
   * How many hours of a day are over and all there: 24 of a day that is over, and of one that goes
   * on those up to its publication, unless the figures do not reach so far.
   *
   * @param {string} day
   */
  hoursReached(day) {
    if (!this.isOpen(day)) return 24;
    const [date, time] = this.asOf(day).split(" ");
    if (!time || date < day) return 0;
    const [hour, minute] = time.split(":").map(Number);
    const byClock = date > day ? 24 : minute < SETTLED_MINUTES ? hour - 1 : hour;
    const last = Math.max(-1, ...this.rows("message_hourly", day).map((row) => row.hour));
    // Where the newest messages are older than that, the hour of the last may have been cut short.
    return Math.max(0, last >= byClock - 1 ? Math.min(byClock, last + 1) : last);
  }

  /**
   * Load the months of these days, unless they are there in their present state.
   *
   * @param {string[]} days
   */
  async load(days) {
    const there = days.filter((day) => day in this.index.days);
    const months = new Set(there.map((day) => day.slice(0, 7)));
    await Promise.all([...months].map((month) => this.loadMonth(month)));
  }

  /** @param {string} month */
  async loadMonth(month) {
    const days = Object.entries(this.index.days).filter(([day]) => day.startsWith(month));
    const state = this.index.format + JSON.stringify(days);
    if (this.months.get(month)?.state === state) return;
    const content = await fetchJson(`data/${month}.json`);
    this.months.set(month, { state, content: content ?? {} });
  }

  /**
   * A metric's rows of one day, as objects.
   *
   * @param {string} name
   * @param {string} day
   * @returns {Row[]}
   */
  rows(name, day) {
    const metric = this.metric(name);
    const rows = this.months.get(day.slice(0, 7))?.content[day]?.[name] ?? [];
    if (!metric) return [];
    return rows.map((row) =>
      Object.fromEntries(metric.columns.map((column, place) => [column, row[place]])),
    );
  }

  /**
   * The only row of a metric without a grain.
   *
   * @param {string} name
   * @param {string} day
   * @returns {Row | undefined}
   */
  row(name, day) {
    return this.rows(name, day)[0];
  }

  /**
   * Those of the days on which a metric has figures.
   *
   * @param {string} name
   * @param {string[]} days
   */
  present(name, days) {
    return days.filter((day) => this.rows(name, day).length > 0);
  }

  /**
   * A metric over days: one object for each value of its grain, with sums of what adds up, and of
   * what does not the figure of a single day or the mean of several whole ones; null where no day
   * is over.
   *
   * @param {string} name
   * @param {string[]} days
   * @param {(row: Row) => string} [key] tells which rows belong together, instead of the grain
   * @returns {Row[]}
   */
  over(name, days, key) {
    const metric = this.metric(name);
    if (!metric) return [];
    const id = key ?? ((row) => JSON.stringify(metric.grain.map((column) => row[column])));
    const whole = new Set(days.length > 1 ? this.present(name, this.closed(days)) : days);
    /** @type {Map<string, { row: Row, sums: Row, missing: Row }>} */
    const groups = new Map();
    for (const day of days) {
      for (const row of this.rows(name, day)) {
        const group = groups.get(id(row)) ?? { row, sums: {}, missing: {} };
        groups.set(id(row), group);
        // Later days come later, so that labels such as nicknames are the latest.
        group.row = row;
        for (const measure of metric.measures) {
          const value = row[measure.name];
          if (!measure.adds && !whole.has(day)) continue;
          if (typeof value === "number") {
            group.sums[measure.name] = (group.sums[measure.name] ?? 0) + value;
          } else {
            group.missing[measure.name] = (group.missing[measure.name] ?? 0) + 1;
          }
        }
      }
    }
    return [...groups.values()].map(({ row, sums, missing }) => ({
      ...row,
      ...Object.fromEntries(
        metric.measures
          .filter((measure) => typeof (row[measure.name] ?? 0) === "number")
          .map((measure) => {
            const total = sums[measure.name];
            const count = whole.size - (missing[measure.name] ?? 0);
            if (measure.adds) return [measure.name, total ?? null];
            return [measure.name, total === undefined || count <= 0 ? null : total / count];
          }),
      ),
    }));
  }

  /**
   * The messages of days, and of as many others up to the same hour where a day is not over.
   *
   * @param {string[]} days
   * @param {string[]} others
   * @returns {{ now: number, before: number, until: number | null, why: null }
   *   | { now: null, before: null, until: null, why: string }} `until` is the hour at which the
   *   day that is not over and its counterpart are cut; `why` names the reason for no comparison
   */
  compareMessages(days, others) {
    let [now, before] = [0, 0];
    let until = null;
    if (days.some((day, place) => this.beganWithin(day, others[place]))) return BEGAN_WITHIN;
    for (const [place, day] of days.entries()) {
      const other = others[place];
      const [one, two] = [day, other].map((each) => this.row("message_total", each)?.messages);
      if (one === undefined && two === undefined) continue;
      if (one === undefined || two === undefined || this.isOpen(other)) return NO_COUNTERPART;
      if (!this.isOpen(day)) {
        [now, before] = [now + one, before + two];
        continue;
      }
      until = this.hoursReached(day);
      if (until === 0 && days.length === 1) return FIRST_HOUR;
      now += this.untilHour(day, until);
      before += this.untilHour(other, until);
    }
    return before > 0 ? { now, before, until, why: null } : NO_COUNTERPART;
  }

  /**
   * Whether all messages of a day were collected after it: nobody watched it while it went on, its
   * files were loaded later.
   *
   * @param {string} day
   */
  isHistory(day) {
    const quality = this.row("data_quality", day);
    return Boolean(quality?.rows) && quality?.late === quality?.rows;
  }

  /**
   * Whether collection began within a day, and what it is compared with was loaded later: the hours
   * before that are in the one and not in the other.
   *
   * @param {string} day
   * @param {string} other
   */
  beganWithin(day, other) {
    if (!this.isHistory(other) || this.isHistory(day)) return false;
    const [one, two] = [day, other].map((each) =>
      Math.min(24, ...this.rows("message_hourly", each).map((row) => row.hour)),
    );
    return one > two;
  }

  /**
   * @param {string} day
   * @param {number} hour
   */
  untilHour(day, hour) {
    return sum(
      this.rows("message_hourly", day).filter((row) => row.hour < hour),
      "messages",
    );
  }
}

/** @type {{ now: null, before: null, until: null, why: string }} */
const NO_COUNTERPART = { now: null, before: null, until: null, why: "notComparable" };
/** @type {{ now: null, before: null, until: null, why: string }} */
const BEGAN_WITHIN = { now: null, before: null, until: null, why: "beganWithin" };
/** @type {{ now: null, before: null, until: null, why: string }} */
const FIRST_HOUR = { now: null, before: null, until: null, why: "firstHour" };

/**
 * The sum of a measure.
 *
 * @param {Row[]} rows
 * @param {string} measure
 */
export function sum(rows, measure) {
  return rows.reduce((total, row) => total + (row[measure] ?? 0), 0);
}

/**
 * Rows from the largest measure to the smallest.
 *
 * @param {Row[]} rows
 * @param {string} measure
 */
export function ranked(rows, measure) {
  return [...rows].sort((one, other) => (other[measure] ?? 0) - (one[measure] ?? 0));
}
