/** How many messages, when, by how many people. */

import { overCategories, withPale } from "../charts.js";
import { sum } from "../data.js";
import { element, sparkline } from "../dom.js";
import { byDay, dayColumn, definitions, keyOf, openPlace, trendDays } from "./common.js";

/** @typedef {import("./common.js").View} View */
/** @typedef {import("./common.js").Page} Page */
/** @typedef {import("./common.js").Row} Row */
/** @typedef {import("../dom.js").Child} Child */
/** @typedef {{ now: number | null, before: number | null, until?: number | null, why: string | null }} Comparison */
/**
 * One of the large figures.
 *
 * @typedef {{
 *   name: string, title: string, value: number | null, write: (value: any) => string,
 *   notes: string[], compare: (days: string[]) => Comparison, spark: (number | null)[],
 *   definition: string, ofDay: (row: Row) => number | null,
 * }} Total
 */

const SPARK_DAYS = 14;
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const PEOPLE = ["senders", "receivers", "pairs"];
// Ranges of whose people active_user holds the distinct number.
/** @type {Record<number, string>} */
const DISTINCT = { 7: "weekly", 30: "monthly" };

/**
 * @param {Page} page
 * @param {View} view
 */
export function showOverview(page, view) {
  if (view.figures.metric("message_total")) {
    showTotals(page, view);
    showDaily(page, view);
  }
  if (view.figures.metric("message_hourly")) showHourly(page, view);
}

/**
 * @param {Page} page
 * @param {View} view
 */
function showTotals(page, view) {
  const { figures, texts, days } = view;
  const card = page.card("overview", "totals", "plain");
  const totals = [
    view.filter ? filteredMessages(view, view.filter) : messages(view),
    ...PEOPLE.map((name) => people(view, name)),
    perSender(view),
  ];
  card.say(texts.say("messages"));
  const shown = totals.map((one) => totalOf(view, one));
  const columns = totals.map((one) => ({
    title: texts.say(one.name),
    number: true,
    write: one.write,
  }));
  card.tell(
    texts,
    [dayColumn(view), ...columns],
    figures
      .present("message_total", days)
      .map((day) => [
        day,
        ...totals.map((one) => one.ofDay(figures.row("message_total", day) ?? {})),
      ]),
    definitions(view, "message_total"),
  );
  card.body.replaceChildren(element("dl", { class: "totals" }, shown));
  // The figures stand where there are none as well, as dashes.
  card.showBody(null);
}

/**
 * @param {View} view
 * @param {Total} one
 */
function totalOf(view, one) {
  const open = view.figures.isOpen(view.trend[view.trend.length - 1]);
  return element(
    "div",
    { class: "total", "data-measure": one.name },
    element("dt", { title: one.definition }, one.title),
    element("dd", { class: "figure" }, one.write(one.value)),
    element(
      "dd",
      { class: "change" },
      one.notes.map((note) => element("p", {}, note)),
      changes(view, one),
    ),
    element("dd", { class: "trend" }, sparkline(one.spark, open)),
  );
}

/**
 * The changes against what is compared with; a reason that holds for all of them stands once.
 *
 * @param {View} view
 * @param {Total} one
 */
function changes(view, one) {
  const made = view.versus.map((versus) => ({ versus, ...one.compare(versus.days) }));
  const [first] = made;
  if (first?.why && made.every((each) => each.why === first.why)) {
    return [element("p", { class: "why" }, view.texts.say(first.why))];
  }
  return made.map((each) => element("p", {}, change(view, each)));
}

/**
 * @param {View} view
 * @param {Comparison & { versus: import("./common.js").Versus }} comparison
 * @returns {Child[]}
 */
function change({ texts, days }, { versus, now, before, until = null, why }) {
  const many = days.length > 1;
  const apart = Math.round((Date.parse(days[0]) - Date.parse(versus.days[0])) / 86_400_000);
  const against = {
    previous: many ? texts.say("previousRange", days.length) : texts.say("previousDay"),
    week: many ? texts.say("weekRange", apart) : texts.say("weekDay"),
    chosen: texts.say("chosenDays", texts.dayShort(versus.days[0])),
  }[versus.kind];
  if (why) return [`${against}: ${texts.say(why)}`];
  if (now === null || !before) return [`${against}: ${texts.say("notComparable")}`];
  const part = now / before - 1;
  const direction = part > 0.0005 ? "up" : part < -0.0005 ? "down" : "same";
  const sign = { up: "▲", down: "▼", same: "■" }[direction];
  const cut = until === null ? "" : `, ${texts.say("untilHour", clock(until))}`;
  return [
    element(
      "span",
      { class: `delta ${direction}` },
      element("span", { "aria-hidden": "true" }, sign),
      direction === "same" ? null : element("span", { class: "hidden" }, texts.say(direction)),
      ` ${texts.percent(Math.abs(part))}`,
    ),
    ` ${against}${cut}`,
  ];
}

/** @param {number} hour */
function clock(hour) {
  return `${String(hour).padStart(2, "0")}:00`;
}

/**
 * @param {View} view
 * @returns {Total}
 */
function messages(view) {
  const { figures, texts, days, trend } = view;
  const present = figures.present("message_total", days);
  const ofDay = (/** @type {Row | undefined} */ row) => row?.messages ?? null;
  return {
    name: "messages",
    title: texts.say("messages"),
    value: present.length
      ? sum(
          present.map((day) => figures.row("message_total", day) ?? {}),
          "messages",
        )
      : null,
    write: (value) => texts.number(value),
    notes: openNotes(view, present),
    compare: (others) => figures.compareMessages(days, others),
    spark: trend.slice(-SPARK_DAYS).map((day) => ofDay(figures.row("message_total", day))),
    definition: definitions(view, "message_total", (measure) => measure.name === "messages")[1],
    ofDay,
  };
}

/**
 * @param {View} view
 * @param {string[]} present
 */
function openNotes({ figures, texts, days }, present) {
  return present
    .filter((day) => figures.isOpen(day))
    .map((day) => {
      const time = figures.asOf(day).slice(11, 16);
      return days.length > 1
        ? texts.say("includesOpen", texts.dayShort(day), time)
        : texts.say("asOf", time);
    });
}

/**
 * The messages of the value by which is filtered; the tables hold no hours of it.
 *
 * @param {View} view
 * @param {import("./common.js").Filter} filter
 * @returns {Total}
 */
function filteredMessages(view, filter) {
  const { figures, texts, days, trend } = view;
  const one = messages(view);
  const count = (/** @type {string[]} */ some) =>
    sum(
      some.flatMap((day) => filteredRows(view, filter, day)),
      "messages",
    );
  return {
    ...one,
    title: `${one.title} · ${texts.name(filter.key)}`,
    value: figures.present(filter.name, days).length ? count(days) : null,
    compare: (others) => {
      const isOpen = days.some((day) => figures.isOpen(day));
      if (isOpen) return { now: null, before: null, why: "notHoursByThis" };
      const complete =
        figures.present(filter.name, days).length === figures.present(filter.name, others).length;
      return complete
        ? { now: count(days), before: count(others), why: null }
        : { now: null, before: null, why: "notComparable" };
    },
    spark: trend
      .slice(-SPARK_DAYS)
      .map((day) => (figures.rows(filter.name, day).length ? count([day]) : null)),
    ofDay: () => null,
  };
}

/**
 * The rows of a day that are of the value by which is filtered.
 *
 * @param {View} view
 * @param {import("./common.js").Filter} filter
 * @param {string} day
 */
function filteredRows({ figures }, filter, day) {
  return figures
    .rows(filter.name, day)
    .filter((row) => keyOf(figures, filter.name, row) === filter.key);
}

/**
 * Distinct people: of a day, of 7 and of 30 days where they are known, and otherwise the mean of
 * the whole days.
 *
 * @param {View} view
 * @param {string} name
 * @returns {Total}
 */
function people(view, name) {
  const { figures, texts, days, trend } = view;
  const many = days.length > 1;
  const isOpen = days.some((day) => figures.isOpen(day));
  const distinct = name === "senders" && many ? DISTINCT[days.length] : undefined;
  const distinctOf = (/** @type {string[]} */ some) =>
    distinct ? (figures.row("active_user", some[some.length - 1])?.[distinct] ?? null) : null;
  const ofDays = (/** @type {string[]} */ some) =>
    figures.over("message_total", some, () => "all")[0]?.[name] ?? null;
  const known = distinctOf(days);
  const title = texts.say(name);
  const total = {
    name,
    title: !many
      ? title
      : known !== null
        ? texts.say("distinctOf", title, days.length)
        : texts.say("dailyMeanOf", title),
    value: known ?? ofDays(days),
    write: (/** @type {any} */ value) => texts.number(value),
    notes:
      !many || !isOpen ? [] : known === null ? [texts.say("wholeDaysOnly")] : openNotes(view, days),
    compare: (/** @type {string[]} */ others) => {
      const none = (/** @type {string} */ why) => ({ now: null, before: null, why });
      if (isOpen && (!many || known !== null)) return none("notBeforeEnd");
      const compared = days.map((day, place) => [day, others[place]]);
      const whole = compared.filter(([day]) => !figures.isOpen(day));
      const [mine, theirs] = [0, 1].map((side) =>
        figures.present(
          "message_total",
          whole.map((pair) => pair[side]),
        ),
      );
      if (!mine.length || mine.length !== theirs.length) return none("notComparable");
      if (whole.some(([day, other]) => figures.beganWithin(day, other))) return none("beganWithin");
      return known !== null
        ? { now: known, before: distinctOf(others), why: null }
        : { now: ofDays(mine), before: ofDays(theirs), why: null };
    },
    spark: trend.slice(-SPARK_DAYS).map((day) => figures.row("message_total", day)?.[name] ?? null),
    definition: definitions(view, "message_total", (measure) => measure.name === name)[1],
    ofDay: (/** @type {Row} */ row) => row[name] ?? null,
  };
  return view.filter ? filteredPeople(view, view.filter, total) : total;
}

/**
 * @param {View} view
 * @param {import("./common.js").Filter} filter
 * @param {Total} total
 * @returns {Total}
 */
function filteredPeople(view, filter, total) {
  const { figures, texts, days, trend } = view;
  const measure = figures
    .metric(filter.name)
    ?.measures.find((one) => !one.adds && one.name !== "messages")?.name;
  const counted = filter.name === "receiver_province" ? "receivers" : "senders";
  const title = `${texts.say(total.name)} · ${texts.name(filter.key)}`;
  if (total.name !== counted || !measure) {
    const why = "notByThis";
    return {
      ...total,
      title,
      value: null,
      notes: [],
      spark: [],
      compare: () => ({ now: null, before: null, why }),
    };
  }
  // A country abroad has rows for its parts, whose people must not be added.
  const of = (/** @type {string} */ day) => {
    const rows = filteredRows(view, filter, day);
    return rows.length === 1 ? rows[0][measure] : null;
  };
  const mean = (/** @type {string[]} */ some) => {
    const values = (some.length > 1 ? figures.closed(some) : some).map(of);
    const there = values.filter((value) => value !== null);
    return there.length && there.length === values.length
      ? there.reduce((one, other) => one + other, 0) / there.length
      : null;
  };
  const isOpen = days.some((day) => figures.isOpen(day));
  return {
    ...total,
    title: days.length > 1 ? texts.say("dailyMeanOf", title) : title,
    value: mean(days),
    notes: isOpen && days.length > 1 ? [texts.say("wholeDaysOnly")] : [],
    spark: trend.slice(-SPARK_DAYS).map(of),
    compare: (others) =>
      isOpen
        ? { now: null, before: null, why: "notBeforeEnd" }
        : { now: mean(days), before: mean(others), why: null },
  };
}

/**
 * @param {View} view
 * @returns {Total}
 */
function perSender(view) {
  const { figures, texts, days, trend } = view;
  const many = days.length > 1;
  const ofDay = (/** @type {Row | undefined} */ row) =>
    row?.senders ? row.messages / row.senders : null;
  const of = (/** @type {string[]} */ some) => {
    const rows = (some.length > 1 ? figures.closed(some) : some).map(
      (day) => figures.row("message_total", day) ?? {},
    );
    const senders = sum(rows, "senders");
    return senders ? sum(rows, "messages") / senders : null;
  };
  const isOpen = days.some((day) => figures.isOpen(day));
  const title = texts.say("perSender");
  /** @type {Total} */
  const total = {
    name: "perSender",
    title: many ? texts.say("dailyMeanOf", title) : title,
    value: of(days),
    write: (value) => texts.decimal(value),
    notes: many && isOpen ? [texts.say("wholeDaysOnly")] : [],
    compare: (others) => {
      const whole = days
        .map((day, place) => [day, others[place]])
        .filter(([day]) => !figures.isOpen(day));
      if (!whole.length) return { now: null, before: null, why: "notBeforeEnd" };
      const [now, before] = [0, 1].map((side) => of(whole.map((pair) => pair[side])));
      return { now, before, why: now && before ? null : "notComparable" };
    },
    spark: trend.slice(-SPARK_DAYS).map((day) => ofDay(figures.row("message_total", day))),
    definition: title,
    ofDay,
  };
  if (!view.filter) return total;
  return {
    ...total,
    value: null,
    notes: [],
    spark: [],
    compare: () => ({ now: null, before: null, why: "notByThis" }),
  };
}

/**
 * @param {Page} page
 * @param {View} view
 */
function showDaily(page, view) {
  const { figures, texts, days, filter } = view;
  const shown = trendDays(view);
  const card = page.card("overview", "daily", "wide");
  const values = shown.map((day) => {
    if (!filter) return figures.row("message_total", day)?.messages ?? null;
    if (!figures.rows(filter.name, day).length) return null;
    return sum(filteredRows(view, filter, day), "messages");
  });
  card.say(
    filter ? `${texts.say("daily")} · ${texts.name(filter.key)}` : texts.say("daily"),
    texts.say("dailyNote", shown.length),
  );
  const write = (/** @type {number} */ value) => texts.number(value);
  const series = [{ name: texts.say("messages"), values, open: openPlace(figures, shown) }];
  const option = overCategories(
    "daily",
    shown.map((day) => texts.dayShort(day)),
    series,
    write,
    (value) => texts.short(value),
  );
  card.draw(
    texts,
    withPale(option, (place) => !view.wall && !days.includes(shown[place])),
    260,
  );
  const [columns, rows] = byDay(view, shown, series, write);
  card.tell(
    texts,
    columns,
    rows,
    definitions(view, "message_total", (one) => one.adds),
  );
}

/**
 * @param {Page} page
 * @param {View} view
 */
function showHourly(page, view) {
  const { figures, texts, days, versus } = view;
  const card = page.card("overview", "hourly", "half");
  const many = days.length > 1;
  const now = hours(view, days);
  const others = versus[0]?.days ?? [];
  const before = hours(view, others);
  const peak = now.indexOf(Math.max(...now.filter((value) => value !== null), 0));
  const write = (/** @type {any} */ value) => texts.number(value);
  const remarks = [];
  if (peak >= 0) remarks.push(texts.say("peak", clock(peak), texts.number(now[peak])));
  const running = many ? null : runningHour(view, days[0]);
  if (running) remarks.push(texts.say("hourRunning", clock(running.hour), write(running.messages)));
  if (many && days.some((day) => figures.isOpen(day))) remarks.push(texts.say("wholeDaysOnly"));
  card.say(texts.say(many ? "hourlyMean" : "hourly"), remarks.join(" · "));
  const span = (/** @type {string[]} */ some) =>
    [...new Set([some[0], some[some.length - 1]])].map((day) => texts.dayShort(day)).join(" – ");
  const series = [{ name: span(days), values: now }];
  if (others.length) series.push({ name: span(others), values: before });
  card.draw(
    texts,
    overCategories("hourly", HOURS.map(clock), series, write, (value) => texts.short(value)),
    260,
  );
  const columns = [
    {
      title: texts.column("hour"),
      write: (/** @type {number} */ hour) =>
        hour === running?.hour ? texts.say("soFar", clock(hour)) : clock(hour),
    },
    ...series.map((one) => ({ title: one.name, number: true, write })),
  ];
  const some = now.some((value) => value !== null) || running;
  card.tell(
    texts,
    columns,
    some
      ? HOURS.map((hour) => [
          hour,
          hour === running?.hour ? running.messages : now[hour],
          ...(others.length ? [before[hour]] : []),
        ])
      : [],
    definitions(view, "message_hourly", (one) => one.adds),
  );
}

/**
 * Messages of each hour: of one day those hours that are over, of several the mean of whole days.
 *
 * @param {View} view
 * @param {string[]} days
 */
function hours({ figures }, days) {
  const whole = days.length > 1 ? figures.closed(days) : days;
  const present = figures.present("message_hourly", whole);
  const reached = days.length === 1 ? figures.hoursReached(days[0]) : 24;
  const rows = figures.over("message_hourly", present);
  return HOURS.map((hour) => {
    if (hour >= reached || !present.length) return null;
    return (rows.find((row) => row.hour === hour)?.messages ?? 0) / present.length;
  });
}

/**
 * The hour that a day in progress is in, and its messages so far.
 *
 * @param {View} view
 * @param {string} day
 */
function runningHour({ figures }, day) {
  const reached = figures.hoursReached(day);
  if (reached >= 24) return null;
  const row = figures.rows("message_hourly", day).find((one) => one.hour === reached);
  return row ? { hour: reached, messages: row.messages } : null;
}
