/** The page's sections and cards: which figure stands where, and what is said of it. */

import { draw, mapOf, overCategories, provinceOnMap, ranking, withPale } from "./charts.js";
import { ranked, sum, today } from "./data.js";
import { bar, element, sparkline, table } from "./dom.js";

const SPARK_DAYS = 14;
const FEW = 10;
const SIDE_ROWS = 6;
// The darkest of the shades of report.css.
const SHADES = 4;
const HOME = "中国";
const BANDS = ["0-1", "1-10", "10-100", "100-1000", "1000+"];
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const SECTIONS = ["overview", "regions", "people", "devices", "activity", "health", "others"];
// The metrics that have cards of their own; any other is shown by what the catalog says of it.
const SHOWN = [
  "message_total", "message_hourly", "sender_province", "receiver_province", "sender_top", "receiver_top", "sex_pair", "phone_type", "os", "network",
  "message_type", "distance_band", "active_user", "data_quality",
];

/** A titled box with a chart or other content, a remark, and its figures as a table. */
class Card {
  constructor(id, kind) {
    const heading = `${id}-title`;
    this.title = element("h3", { id: heading });
    this.remark = element("p", { class: "remark" });
    this.chart = element("div", { class: "chart", role: "img" });
    this.body = element("div", { class: "body" });
    this.summary = element("summary");
    this.figures = element("div", { class: "scroll", tabindex: "0", role: "region" });
    this.details = element("details", {}, this.summary, this.figures);
    this.root = element("section", { id, class: `card ${kind}`, "aria-labelledby": heading }, element("header", {}, this.title, this.remark), this.body, this.details);
  }

  say(title, remark = "") {
    this.root.hidden = false;
    this.title.textContent = title;
    this.remark.textContent = remark;
    this.remark.hidden = !remark;
  }

  /** Show a chart; what its figures are, those who do not see it read in the table. */
  draw(option, height) {
    if (!this.chart.isConnected) this.body.replaceChildren(this.chart);
    this.chart.style.height = `${height}px`;
    this.chart.setAttribute("aria-label", [this.title.textContent, this.remark.textContent].filter(Boolean).join(", "));
    draw(this.chart, option);
  }

  /** Give the figures as a table. */
  tell(texts, columns, rows) {
    this.summary.textContent = texts.say("table");
    this.summary.setAttribute("aria-label", `${texts.say("table")}: ${this.title.textContent}`);
    this.figures.setAttribute("aria-label", this.title.textContent);
    this.figures.replaceChildren(table(this.title.textContent, columns, rows));
  }
}

/** The sections below each other, and the cards in them, which stay when their content changes. */
export class Page {
  constructor(root) {
    this.cards = new Map();
    this.all = new Set();
    this.sections = new Map(
      SECTIONS.map((name) => {
        const [heading, grid] = [element("h2", { id: name }), element("div", { class: "grid" })];
        const section = element("section", { class: "section", "aria-labelledby": name }, heading, grid);
        root.append(section);
        return [name, { section, heading, grid }];
      }),
    );
  }

  /** Show figures. `view` holds the figures, the texts, the chosen days, as many days before them, and the days of trends. */
  show(view) {
    for (const card of this.cards.values()) card.root.hidden = true;
    showTotals(this, view);
    showDaily(this, view);
    showHourly(this, view);
    showRegion(this, view, "sender");
    showRegion(this, view, "receiver");
    showSexes(this, view);
    showTop(this, view, "sender");
    showTop(this, view, "receiver");
    showRanking(this, view, "phone_type", "phones", "wide");
    showRanking(this, view, "os", "systems", "narrow");
    showRanking(this, view, "network", "networks", "narrow");
    showRanking(this, view, "message_type", "types", "half");
    showBands(this, view);
    showActive(this, view);
    showRetention(this, view);
    showHealth(this, view);
    for (const metric of view.figures.index.metrics.filter((one) => !SHOWN.includes(one.name))) showOther(this, view, metric);
    for (const [name, { section, heading, grid }] of this.sections) {
      heading.textContent = view.texts.say(name);
      section.hidden = [...grid.children].every((child) => child.hidden);
    }
  }

  /** The card of this name, made when it is asked for first. */
  card(section, id, kind) {
    if (!this.cards.has(id)) {
      const card = new Card(id, kind);
      this.cards.set(id, card);
      this.sections.get(section).grid.append(card.root);
    }
    return this.cards.get(id);
  }
}

// --- overview

function showTotals(page, view) {
  const { figures, texts, days, earlier, trend } = view;
  if (!figures.metric("message_total")) return;
  const card = page.card("overview", "totals", "plain");
  const [now] = figures.over("message_total", days, () => "all");
  const [before] = figures.over("message_total", earlier, () => "all");
  const comparable = figures.present("message_total", days).length === figures.present("message_total", earlier).length;
  const perSender = (row) => (row?.senders ? row.messages / row.senders / (days.length > 1 ? figures.present("message_total", days).length : 1) : null);
  const history = trend.slice(-SPARK_DAYS).map((day) => figures.rows("message_total", day)[0]);
  const cards = ["messages", "senders", "receivers", "pairs"].map((name) => ({
    name, value: (row) => row?.[name] ?? null, write: (value) => texts.number(value), adds: name === "messages",
  }));
  cards.push({ name: "perSender", value: perSender, spark: (row) => (row?.senders ? row.messages / row.senders : null), write: (value) => texts.decimal(value) });
  card.say(texts.say("messages"));
  card.body.replaceChildren(element("dl", { class: "totals" }, cards.map((one) => total(view, one, now, comparable ? before : undefined, history))));
  const columns = [{ title: texts.column("day") }, ...cards.map((one) => ({ title: texts.say(one.name), number: true }))];
  card.tell(texts, columns, days.map((day) => [day, figures.rows("message_total", day)[0]]).filter(([, row]) => row).map(([day, row]) => [
    day, ...cards.map((one) => one.write((one.spark ?? one.value)(row))),
  ]));
}

function total({ figures, texts, days }, { name, value, write, adds, spark }, now, before, history) {
  const many = days.length > 1;
  const [current, previous] = [value(now), value(before)];
  return element(
    "div",
    { class: "total", "data-measure": name },
    element("dt", {}, many && !adds ? texts.say("dailyMeanOf", texts.say(name)) : texts.say(name)),
    element("dd", { class: "figure" }, write(current)),
    element("dd", { class: "change" }, change(texts, current, previous, days, isOpen(figures, days))),
    element("dd", { class: "trend" }, sparkline(history.map(spark ?? value))),
  );
}

/** Whether the last of the days is still going on, so that its figures are below those of a whole day. */
function isOpen(figures, days) {
  return days[days.length - 1] >= today(figures.index.timezone);
}

function change(texts, current, previous, days, open) {
  const versus = days.length > 1 ? texts.say("versusRange", days.length) : texts.say(open ? "versusWholeDay" : "versusDay");
  if (current === null || !previous) return `${versus} –`;
  const part = current / previous - 1;
  const direction = part > 0.0005 ? "up" : part < -0.0005 ? "down" : "same";
  const sign = { up: "▲", down: "▼", same: "■" }[direction];
  const spoken = direction === "same" ? null : element("span", { class: "hidden" }, texts.say(direction));
  return [element("span", { class: `delta ${open ? "open" : direction}` }, element("span", { "aria-hidden": "true" }, sign), spoken, ` ${texts.percent(Math.abs(part))}`), ` ${versus}`];
}

function showDaily(page, view) {
  const { figures, texts, days, trend } = view;
  if (!figures.metric("message_total")) return;
  const shown = days.length > trend.length ? days : trend;
  const card = page.card("overview", "daily", "wide");
  const values = shown.map((day) => figures.rows("message_total", day)[0]?.messages ?? null);
  card.say(texts.say("daily"), texts.say("dailyNote", shown.length));
  const series = [{ name: texts.say("messages"), values }];
  const option = overCategories("daily", shown.map((day) => texts.dayShort(day)), series, (value) => texts.number(value), (value) => texts.short(value));
  card.draw(withPale(option, (place) => !days.includes(shown[place])), 260);
  card.tell(texts, [{ title: texts.column("day") }, { title: texts.say("messages"), number: true }], shown.map((day, place) => [day, texts.number(values[place])]));
}

function showHourly(page, view) {
  const { figures, texts, days, earlier } = view;
  if (!figures.metric("message_hourly")) return;
  const card = page.card("overview", "hourly", "half");
  const now = hours(figures, days, true);
  const before = hours(figures, earlier, false);
  const peak = now.indexOf(Math.max(...now.filter((value) => value !== null), 0));
  const many = days.length > 1;
  const write = (value) => texts.number(value);
  const clock = (hour) => `${String(hour).padStart(2, "0")}:00`;
  card.say(texts.say(many ? "hourlyMean" : "hourly"), peak >= 0 ? texts.say("peak", clock(peak), texts.number(now[peak])) : "");
  const series = [
    { name: texts.say(many ? "thisRange" : "thisDay"), values: now },
    { name: texts.say(many ? "rangeBefore" : "dayBefore"), values: before },
  ];
  card.draw(overCategories("hourly", HOURS.map(clock), series, write, (value) => texts.short(value)), 260);
  const columns = [{ title: texts.column("hour") }, ...series.map((one) => ({ title: one.name, number: true }))];
  card.tell(texts, columns, HOURS.map((hour) => [clock(hour), texts.number(now[hour]), texts.number(before[hour])]));
}

/** Messages of each hour, of one day or as the mean of several; the hours that a day in progress has not reached are not known. */
function hours(figures, days, open) {
  const present = figures.present("message_hourly", days);
  const rows = figures.over("message_hourly", days);
  const last = open && days.length === 1 ? Math.max(...rows.map((row) => row.hour)) : 23;
  return HOURS.map((hour) => (hour > last || !present.length ? null : (rows.find((row) => row.hour === hour)?.messages ?? 0) / present.length));
}

// --- regions

function showRegion(page, view, party) {
  const { figures, texts, days } = view;
  const name = `${party}_province`;
  if (!figures.metric(name)) return;
  const card = page.card("regions", name, "half");
  const rows = figures.over(name, days);
  const all = sum(rows, "messages");
  const atHome = gathered(rows.filter((row) => row.country === HOME && provinceOnMap(row.province)), (row) => provinceOnMap(row.province));
  const abroad = gathered(rows.filter((row) => !(row.country === HOME && provinceOnMap(row.province))), (row) => placeName(view, row));
  const leader = atHome[0];
  const percent = (value) => texts.percent(value / all);
  card.say(texts.say(`${party}Map`), leader && all ? texts.say("first", texts.name(leader.place), percent(leader.value)) : "");
  if (!card.side) card.body.append(element("div", { class: "map" }, card.chart, (card.side = element("div", { class: "side" }))));
  const title = (place, value) => `${texts.name(place)}\n${texts.number(value)} · ${percent(value)}`;
  card.draw(mapOf(atHome, title, (value) => texts.short(value), (place) => texts.name(place)), 340);
  card.side.replaceChildren(...[["provinces", atHome], ["abroad", abroad]].map(([heading, places]) => sideList(texts, texts.say(heading), places, all)));
  const columns = [{ title: texts.column("country") }, { title: texts.column("province") }, ...measureColumns(view, name)];
  card.tell(texts, columns, ranked(rows, "messages").map((row) => [texts.name(row.country), texts.name(provinceOnMap(row.province) ?? row.province), ...measureCells(view, name, row)]));
}

function gathered(rows, place) {
  const values = new Map();
  for (const row of rows) values.set(place(row), (values.get(place(row)) ?? 0) + row.messages);
  return [...values].map(([name, value]) => ({ place: name, value })).sort((one, other) => other.value - one.value);
}

function placeName({ figures, texts }, row) {
  if (row.country === figures.index.unknown) return texts.say("unknownPlace");
  return row.country === HOME ? texts.name(row.country) + texts.say("noProvince") : row.country;
}

function sideList(texts, heading, places, all) {
  const most = places[0]?.value ?? 1;
  const items = places.slice(0, SIDE_ROWS).map(({ place, value }) =>
    element("li", {}, element("span", { class: "name" }, texts.name(place)), element("span", { class: "value" }, texts.percent(value / all)), bar(value / most)),
  );
  return element("div", {}, element("h4", {}, heading), element("ol", {}, items.length ? items : element("li", {}, "–")));
}

// --- people

function showSexes(page, view) {
  const { figures, texts, days } = view;
  if (!figures.metric("sex_pair")) return;
  const card = page.card("people", "sexes", "third");
  const rows = figures.over("sex_pair", days);
  const all = sum(rows, "messages");
  const known = rows.flatMap((row) => [row.sender_sex, row.receiver_sex]);
  const unknown = figures.index.unknown;
  const sexes = [...new Set([..."男女", unknown, ...known])].filter((sex) => known.includes(sex));
  const cells = sexes.map((sender) => sexes.map((receiver) => rows.find((row) => row.sender_sex === sender && row.receiver_sex === receiver)?.messages ?? 0));
  card.say(texts.say("sexes"), texts.say("sexesNote"));
  card.body.replaceChildren(matrix(texts, sexes.map((sex) => texts.name(sex)), cells, all));
  card.details.hidden = true;
}

/** A table whose cells are the darker, the larger they are. */
function matrix(texts, names, cells, all) {
  const most = Math.max(1, ...cells.flat());
  const cell = (value) => element(
    "td", { class: `shade shade-${Math.round((value / most) * SHADES)}` }, element("strong", {}, texts.number(value)), element("span", {}, texts.percent(value / all)),
  );
  const head = [element("td"), ...names.map((name) => element("th", { scope: "col" }, `→ ${name}`))];
  return element(
    "table", { class: "matrix" }, element("caption", { class: "hidden" }, texts.say("sexesNote")), element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, cells.map((row, place) => element("tr", {}, element("th", { scope: "row" }, `${names[place]} →`), row.map(cell)))),
  );
}

function showTop(page, view, party) {
  const { figures, texts, days } = view;
  const name = `${party}_top`;
  if (!figures.metric(name)) return;
  const card = page.card("people", name, "third list");
  const rows = ranked(figures.over(name, days, (row) => row.account_id ?? row.account), "messages");
  const most = rows[0]?.messages ?? 1;
  const open = page.all.has(name);
  const few = rows.slice(0, open ? rows.length : FEW);
  card.say(texts.say(`${party}Top`), days.length > 1 ? texts.say("topNote") : "");
  const columns = [
    { title: texts.say("rank"), number: true }, { title: texts.say("nickname") }, { title: texts.say("account") }, { title: texts.say("messages"), number: true },
  ];
  const lines = few.map((row, place) => [
    String(place + 1), element("span", { class: "nickname" }, texts.name(row.nickname)), element("span", { class: "account" }, row.account),
    element("span", { class: "measured" }, texts.number(row.messages), bar(row.messages / most)),
  ]);
  card.body.replaceChildren(element("div", { class: "scroll" }, table(card.title.textContent, columns, lines)));
  if (rows.length > FEW) {
    const button = element("button", { type: "button", class: "more", "aria-expanded": String(open) }, open ? texts.say("showFew", FEW) : texts.say("showAll", rows.length));
    button.addEventListener("click", () => {
      if (!page.all.delete(name)) page.all.add(name);
      showTop(page, view, party);
      card.body.querySelector("button").focus();
    });
    card.body.append(button);
  }
  card.details.hidden = true;
}

// --- devices and messages

function showRanking(page, view, name, title, kind) {
  const { figures, texts, days } = view;
  const metric = figures.metric(name);
  if (!metric) return;
  const rows = ranked(figures.over(name, days), "messages");
  const all = sum(rows, "messages");
  const [dimension] = metric.grain;
  const card = page.card("devices", name, kind);
  const leader = rows[0];
  card.say(texts.say(title), leader ? texts.say("first", texts.name(leader[dimension]), texts.percent(leader.messages / all)) : "");
  const shown = rows.slice(0, FEW).map((row) => ({
    name: texts.name(row[dimension]), value: row.messages, label: `${texts.number(row.messages)} · ${texts.percent(row.messages / all)}`,
  }));
  card.draw(ranking(shown, (value) => texts.number(value)), heightOf(kind, shown.length));
  const columns = [{ title: texts.column(dimension) }, ...measureColumns(view, name), { title: texts.say("share"), number: true }];
  card.tell(texts, columns, rows.map((row) => [texts.name(row[dimension]), ...measureCells(view, name, row), texts.percent(row.messages / all)]));
}

/** As high as the cards beside it; where cards stand alone, as its bars need. */
function heightOf(kind, rows) {
  return window.matchMedia("(max-width: 900px)").matches ? rows * 32 + 24 : kind === "half" ? 260 : 320;
}

function showBands(page, view) {
  const { figures, texts, days } = view;
  if (!figures.metric("distance_band")) return;
  const card = page.card("devices", "distance_band", "half");
  const rows = figures.over("distance_band", days);
  const all = sum(rows, "messages");
  const place = (band) => (BANDS.includes(band) ? BANDS.indexOf(band) : BANDS.length);
  const ordered = [...rows].sort((one, other) => place(one.band) - place(other.band));
  card.say(texts.say("bands"));
  const series = [{ name: texts.say("messages"), values: ordered.map((row) => row.messages) }];
  card.draw(overCategories("bands", ordered.map((row) => texts.name(row.band)), series, (value) => texts.number(value), (value) => texts.short(value)), 260);
  const columns = [{ title: texts.column("band") }, ...measureColumns(view, "distance_band"), { title: texts.say("share"), number: true }];
  card.tell(texts, columns, ordered.map((row) => [texts.name(row.band), ...measureCells(view, "distance_band", row), texts.percent(row.messages / all)]));
}

// --- activity

function showActive(page, view) {
  const { figures, texts } = view;
  const metric = figures.metric("active_user");
  if (!metric) return;
  const names = ["daily", "weekly", "monthly", "new"].filter((name) => metric.columns.includes(name));
  const shown = trendDays(view);
  const series = names.map((name) => ({ name: texts.measure({ name }), values: shown.map((day) => figures.rows("active_user", day)[0]?.[name] ?? null) }));
  const card = page.card("activity", "active_user", "wide");
  card.say(texts.say("active"), texts.say("lastDays", shown.length));
  card.draw(overCategories("active", shown.map((day) => texts.dayShort(day)), series, (value) => texts.number(value), (value) => texts.short(value)), 280);
  card.tell(texts, [{ title: texts.column("day") }, ...series.map((one) => ({ title: one.name, number: true }))], byDay(shown, series, (value) => texts.number(value)));
}

function showRetention(page, view) {
  const { figures, texts } = view;
  if (!figures.metric("active_user")?.columns.includes("returning_next_day")) return;
  const shown = trendDays(view);
  // Who comes back the next day is not known before that day is over.
  const last = figures.present("message_total", figures.days).pop();
  const share = (day) => {
    const row = figures.rows("active_user", day)[0];
    return row?.daily && day < last ? row.returning_next_day / row.daily : null;
  };
  const series = [{ name: texts.say("retention"), values: shown.map(share) }];
  const card = page.card("activity", "retention", "narrow");
  card.say(texts.say("retention"), texts.say("retentionNote"));
  card.draw(overCategories("share", shown.map((day) => texts.dayShort(day)), series, (value) => texts.percent(value), (value) => `${Math.round(value * 100)}%`), 280);
  card.tell(texts, [{ title: texts.column("day") }, { title: texts.say("retention"), number: true }], byDay(shown, series, (value) => texts.percent(value ?? NaN)));
}

function trendDays({ days, trend }) {
  return days.length > trend.length ? days : trend;
}

function byDay(days, series, write) {
  return days.map((day, place) => [day, ...series.map((one) => write(one.values[place]))]);
}

// --- pipeline health

function showHealth(page, view) {
  const { figures, texts, days } = view;
  const metric = figures.metric("data_quality");
  if (!metric) return;
  const reasons = metric.measures.filter((measure) => measure.name.startsWith("quarantined_"));
  const quarantined = (row) => reasons.reduce((total, reason) => total + (row?.[reason.name] ?? 0), 0);
  showHealthTotals(page, view, quarantined);
  const shown = trendDays(view);
  const write = (value) => texts.number(value);
  const used = reasons.filter((reason) => shown.some((day) => figures.rows("data_quality", day)[0]?.[reason.name]));
  const series = (used.length ? used : reasons.slice(0, 1)).map((reason) => ({
    name: texts.measure(reason), values: shown.map((day) => figures.rows("data_quality", day)[0]?.[reason.name] ?? null),
  }));
  const card = page.card("health", "quarantine", "half");
  const [now] = figures.over("data_quality", days, () => "all");
  card.say(texts.say("reasons"), now && !quarantined(now) ? texts.say("nothingQuarantined") : texts.say("lastDays", shown.length));
  card.draw(overCategories("quality", shown.map((day) => texts.dayShort(day)), series, write, (value) => texts.short(value)), 280);
  card.tell(texts, [{ title: texts.column("day") }, ...series.map((one) => ({ title: one.name, number: true }))], byDay(shown, series, write));
  showAge(page, view, shown);
}

function showHealthTotals(page, view, quarantined) {
  const { figures, texts, days } = view;
  const [now] = figures.over("data_quality", days, () => "all");
  const many = days.length > 1;
  const age = (name) => [many ? texts.say("dailyMeanOf", texts.say(name)) : texts.say(name), texts.duration(now?.[name === "ageP50" ? "age_p50" : "age_p99"])];
  const figure = (name, column) => [texts.say(name), texts.number(now?.[column])];
  const items = [
    figure("lines", "lines"), figure("rows", "rows"), [texts.say("quarantined"), now ? texts.number(quarantined(now)) : "–"], figure("sentAgain", "sent_again"),
    figure("late", "late"), age("ageP50"), age("ageP99"),
  ];
  const card = page.card("health", "quality", "plain");
  card.say(texts.say("health"));
  card.body.replaceChildren(element("dl", { class: "totals small" }, items.map(([title, text]) => element("div", { class: "total" }, element("dt", {}, title), element("dd", { class: "figure" }, text)))));
  card.tell(texts, [{ title: texts.column("day") }, ...measureColumns(view, "data_quality")], days.flatMap((day) => figures.rows("data_quality", day).map((row) => [
    day, ...measureCells(view, "data_quality", row),
  ])));
}

function showAge(page, view, shown) {
  const { figures, texts } = view;
  const metric = figures.metric("data_quality");
  const names = ["age_p50", "age_p99"].filter((name) => metric.columns.includes(name));
  if (!names.length) return;
  const series = names.map((name) => ({ name: texts.measure({ name }), values: shown.map((day) => figures.rows("data_quality", day)[0]?.[name] ?? null) }));
  const write = (value) => texts.duration(value);
  const card = page.card("health", "age", "half");
  card.say(texts.say("age"), texts.say("lastDays", shown.length));
  card.draw(overCategories("age", shown.map((day) => texts.dayShort(day)), series, write, (value) => texts.durationShort(value)), 280);
  card.tell(texts, [{ title: texts.column("day") }, ...series.map((one) => ({ title: one.name, number: true }))], byDay(shown, series, write));
}

// --- any other metric

function showOther(page, view, metric) {
  const { figures, texts, days } = view;
  const card = page.card("others", metric.name, "half");
  const rows = figures.over(metric.name, days);
  const measure = metric.measures.find((one) => one.adds) ?? metric.measures[0];
  card.say(texts.metric(metric), texts.say("unit", metric.unit));
  if (metric.grain.length) {
    const name = (row) => metric.grain.map((column) => texts.name(row[column])).join(" · ");
    const shown = ranked(rows, measure.name).slice(0, FEW).map((row) => ({ name: name(row), value: row[measure.name], label: texts.number(row[measure.name]) }));
    card.draw(ranking(shown, (value) => texts.number(value)), 280);
    const columns = [...metric.grain.map((column) => ({ title: texts.column(column) })), ...measureColumns(view, metric.name)];
    card.tell(texts, columns, ranked(rows, measure.name).map((row) => [...metric.grain.map((column) => texts.name(row[column])), ...measureCells(view, metric.name, row)]));
    return;
  }
  const shown = trendDays(view);
  const series = metric.measures.map((one) => ({ name: texts.measure(one), values: shown.map((day) => figures.rows(metric.name, day)[0]?.[one.name] ?? null) }));
  card.draw(overCategories("trend", shown.map((day) => texts.dayShort(day)), series, (value) => texts.number(value), (value) => texts.short(value)), 280);
  card.tell(texts, [{ title: texts.column("day") }, ...measureColumns(view, metric.name)], byDay(shown, series, (value) => texts.number(value)));
}

// --- tables

function measureColumns({ figures, texts, days }, name) {
  const many = days.length > 1;
  return figures.metric(name).measures.map((measure) => ({ title: many && !measure.adds ? texts.say("dailyMeanOf", texts.measure(measure)) : texts.measure(measure), number: true }));
}

function measureCells({ figures, texts }, name, row) {
  return figures.metric(name).measures.map((measure) => (measure.name.startsWith("age_") ? texts.duration(row[measure.name]) : texts.number(row[measure.name])));
}
