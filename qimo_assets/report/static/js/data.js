/** Loads the published figures, a month at a time, and brings days together: sums where figures add up, daily means where they do not. */

const DAY_MS = 86_400_000;

/** The day so many days after another. */
export function shift(day, days) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Every day from one to another, both included. */
export function between(from, to) {
  const count = Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS) + 1;
  return Array.from({ length: Math.max(0, count) }, (_, place) => shift(from, place));
}

/** Today in the time zone of the figures. */
export function today(timezone) {
  return new Intl.DateTimeFormat("sv-SE", { timeZone: timezone }).format(new Date());
}

/** Fetch a JSON file of the report; null where there is none yet. */
export async function fetchJson(path) {
  const answer = await fetch(path, { cache: "no-cache" });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** What is published. */
export class Figures {
  constructor() {
    this.index = null;
    this.months = new Map();
  }

  /** Read the index again; return whether anything is new. */
  async update() {
    const index = await fetchJson("data/index.json");
    const changed = JSON.stringify(index) !== JSON.stringify(this.index);
    this.index = index;
    return changed;
  }

  get days() {
    return this.index ? Object.keys(this.index.days).sort() : [];
  }

  metric(name) {
    return this.index.metrics.find((metric) => metric.name === name);
  }

  /** Load the months of these days, unless they are there in their present state. */
  async load(days) {
    const months = new Set(days.filter((day) => day in this.index.days).map((day) => day.slice(0, 7)));
    await Promise.all([...months].map((month) => this.loadMonth(month)));
  }

  async loadMonth(month) {
    const state = this.index.format + JSON.stringify(Object.entries(this.index.days).filter(([day]) => day.startsWith(month)));
    if (this.months.get(month)?.state === state) return;
    const content = await fetchJson(`data/${month}.json`);
    this.months.set(month, { state, content: content ?? {} });
  }

  /** A metric's rows of one day, as objects. */
  rows(name, day) {
    const metric = this.metric(name);
    const rows = this.months.get(day.slice(0, 7))?.content[day]?.[name] ?? [];
    return metric ? rows.map((row) => Object.fromEntries(metric.columns.map((column, place) => [column, row[place]]))) : [];
  }

  /** Those of the days on which a metric has figures. */
  present(name, days) {
    return days.filter((day) => this.rows(name, day).length > 0);
  }

  /**
   * A metric over days: one object for each value of its grain, with sums of what adds up and daily means of what does not.
   *
   * `key` tells which rows belong together; without it the metric's own grain does.
   */
  over(name, days, key) {
    const metric = this.metric(name);
    if (!metric) return [];
    const present = this.present(name, days);
    const groups = new Map();
    for (const row of present.flatMap((day) => this.rows(name, day))) {
      const id = key ? key(row) : JSON.stringify(metric.grain.map((column) => row[column]));
      const group = groups.get(id);
      // Later days come later, so that labels such as nicknames are the latest.
      groups.set(id, group ? { ...row, ...this.added(metric, group, row) } : { ...row });
    }
    return [...groups.values()].map((group) => ({ ...group, ...this.meant(metric, group, present.length) }));
  }

  added(metric, group, row) {
    return this.each(metric, (measure) => addable(row[measure.name]) ? (group[measure.name] ?? 0) + row[measure.name] : row[measure.name] ?? group[measure.name]);
  }

  meant(metric, group, count) {
    return this.each(metric, (measure) => (measure.adds || !addable(group[measure.name]) ? group[measure.name] : group[measure.name] / count));
  }

  each(metric, compute) {
    return Object.fromEntries(metric.measures.map((measure) => [measure.name, compute(measure)]));
  }
}

function addable(value) {
  return typeof value === "number";
}

/** The sum of a measure. */
export function sum(rows, measure) {
  return rows.reduce((total, row) => total + (row[measure] ?? 0), 0);
}

/** Rows from the largest measure to the smallest. */
export function ranked(rows, measure) {
  return [...rows].sort((one, other) => (other[measure] ?? 0) - (one[measure] ?? 0));
}
