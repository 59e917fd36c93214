/** Draws charts: the options that pyecharts made, with figures and words filled in. */

const LABEL_WIDTH = 150;
const TICKS = 4;
// Steps at which people read a clock, in seconds.
const CLOCK_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
];
/** @type {Map<HTMLElement, any>} */
const drawn = new Map();
/** @type {Record<string, Record<string, any>>} */
let themes = {};
/** @type {string[]} */
let provinces = [];
let theme = "light";
/** @type {string | null} */
let note = null;

/** @typedef {{ name: string, values: (number | null)[], open?: number }} Series */
/** @typedef {{ name: string, color: string, symbol: string, dashed: boolean }} Legend */

/**
 * Take the options of all charts and the map.
 *
 * @param {Record<string, Record<string, any>>} options
 * @param {{ note: string | null, features: { properties: { name: string } }[] }} map
 */
export function prepare(options, map) {
  themes = options;
  provinces = map.features.map((feature) => feature.properties.name).filter(Boolean);
  note = map.note;
  echarts.registerMap("china", map);
}

/** What stands below a map that is not the sketch. */
export function mapNote() {
  return note;
}

/** @param {string} name */
export function useTheme(name) {
  theme = name;
}

/**
 * The map's name of a province as ip2region writes it (广东省, 广西, 北京); null for none.
 *
 * @param {string} province
 */
export function provinceOnMap(province) {
  if (!province) return null;
  return provinces.find((name) => province.startsWith(name) || name.startsWith(province)) ?? null;
}

/**
 * Draw a chart into an element, whose size is the chart's.
 *
 * @param {HTMLElement} place
 * @param {any} option
 * @param {((point: any) => void) | null} press called with the point that is clicked
 */
export function draw(place, option, press = null) {
  let chart = drawn.get(place);
  if (!chart) {
    // Twice the pixels also on simple screens: print would show them otherwise.
    const ratio = Math.max(2, window.devicePixelRatio);
    chart = echarts.init(place, null, { renderer: "canvas", devicePixelRatio: ratio });
    drawn.set(place, chart);
    new ResizeObserver(() => fitOne(chart)).observe(place);
  }
  chart.setOption(option, { notMerge: true });
  chart.off("click");
  if (press) chart.on("click", press);
}

/** Fit every chart to its element, and draw it before this returns, as printing needs it. */
export function fit() {
  for (const chart of drawn.values()) fitOne(chart);
}

/** @param {any} chart */
function fitOne(chart) {
  chart.resize();
  chart.getZr().flush();
}

/**
 * Show or hide a series; returns whether it is shown now.
 *
 * @param {HTMLElement} place
 * @param {string} name
 * @param {boolean} shown
 */
export function toggle(place, name, shown) {
  drawn.get(place)?.dispatchAction({ type: shown ? "legendSelect" : "legendUnSelect", name });
}

/**
 * A chart as a picture.
 *
 * @param {HTMLElement} place
 * @returns {HTMLCanvasElement | null}
 */
export function picture(place) {
  return drawn.get(place)?.getRenderedCanvas({ pixelRatio: 2 }) ?? null;
}

/**
 * The options of a chart as a copy of one's own.
 *
 * @param {string} name
 */
function look(name) {
  return structuredClone(themes[theme][name]);
}

/** @param {any} value */
function first(value) {
  return Array.isArray(value) ? value[0] : value;
}

/**
 * What the legend of a chart says: the page shows it beside the chart, where it has all the room
 * that it needs and is printed as it is.
 *
 * @param {any} option
 * @returns {Legend[]}
 */
export function legendOf(option) {
  return option.series
    .filter((/** @type {any} */ series) => !series.isRest)
    .map((/** @type {any} */ series) => ({
      name: series.name,
      color: series.itemStyle.color,
      symbol: series.type === "bar" ? "bar" : series.symbol,
      dashed: series.lineStyle?.type === "dashed",
    }));
}

/**
 * Lines or bars over categories. What belongs to a day that is not over is dashed: from the place
 * `open` of a series on.
 *
 * @param {string} name
 * @param {string[]} categories
 * @param {Series[]} series
 * @param {(value: number) => string} write writes a value in full
 * @param {(value: number) => string} short writes it at the axis
 */
export function overCategories(name, categories, series, write, short) {
  const option = look(name);
  const styles = option.series;
  option.series = series.flatMap((one, place) => {
    const style = { ...styles[place % styles.length], name: one.name };
    return style.type === "bar" ? [barsOf(style, one)] : linesOf(style, one);
  });
  first(option.legend).data = series.map((one) => one.name);
  first(option.xAxis).data = categories;
  // A single day stands in the middle.
  if (categories.length === 1) first(option.xAxis).boundaryGap = true;
  // The first and the last label are not cut at the edge.
  Object.assign(first(option.xAxis).axisLabel, {
    hideOverlap: true,
    alignMinLabel: "left",
    alignMaxLabel: "right",
  });
  if (first(option.xAxis).boundaryGap !== false) {
    Object.assign(first(option.xAxis).axisLabel, { alignMinLabel: null, alignMaxLabel: null });
  }
  const axis = first(option.yAxis);
  axis.axisLabel.formatter = (/** @type {number} */ value) => short(value);
  axis.min = 0;
  // Where there is nothing, and where there is little, no tick is a part of a message.
  axis.minInterval = name === "share" ? 0.01 : 1;
  option.tooltip.valueFormatter = (/** @type {number | null} */ value) =>
    value === null || value === undefined ? "–" : write(value);
  return option;
}

/**
 * @param {any} style
 * @param {Series} one
 */
function barsOf(style, { values, open = values.length }) {
  const going = {
    opacity: 0.6,
    borderType: "dashed",
    borderWidth: 1.5,
    borderColor: style.itemStyle.color,
    color: "transparent",
  };
  const data = values.map((value, place) => (place < open ? value : { value, itemStyle: going }));
  return { ...style, data };
}

/**
 * @param {any} style
 * @param {Series} one
 */
function linesOf(style, { values, open = values.length }) {
  const many = values.filter((value) => value !== null).length;
  const whole = { ...style, showSymbol: many <= 31, data: values };
  if (open >= values.length) return [whole];
  const done = values.map((value, place) => (place < open ? value : null));
  // The dashed part begins at the last whole day.
  const rest = values.map((value, place) => (place < open - 1 ? null : value));
  return [
    { ...whole, data: done },
    {
      ...style,
      data: rest,
      isRest: true,
      areaStyle: undefined,
      showSymbol: false,
      lineStyle: { ...style.lineStyle, type: "dashed", width: 1.5 },
      tooltip: { show: false },
    },
  ];
}

/**
 * Ticks at which people read a clock.
 *
 * @param {any} option
 */
export function withClockTicks(option) {
  const values = option.series.flatMap((/** @type {any} */ series) => series.data);
  const most = Math.max(1, ...values.filter((/** @type {any} */ value) => value !== null));
  const step = CLOCK_STEPS.find((seconds) => most / seconds <= TICKS) ?? Math.ceil(most / TICKS);
  Object.assign(first(option.yAxis), { interval: step, max: Math.ceil(most / step) * step });
  return option;
}

/**
 * Bars over categories of which some are pale.
 *
 * @param {any} option
 * @param {(place: number) => boolean} isPale
 */
export function withPale(option, isPale) {
  for (const series of option.series) {
    series.data = series.data.map((/** @type {any} */ item, /** @type {number} */ place) =>
      isPale(place) && typeof item === "number"
        ? { value: item, itemStyle: { opacity: 0.4 } }
        : item,
    );
  }
  return option;
}

/**
 * How wide the widest of some labels is, in pixels, up to a limit.
 *
 * @param {string[]} labels
 * @param {number} limit
 */
function widthOf(labels, limit) {
  const pen = document.createElement("canvas").getContext("2d");
  if (!pen) return limit;
  pen.font = `12px ${themes[theme].ranking.textStyle.fontFamily}`;
  const widest = Math.max(0, ...labels.map((label) => pen.measureText(label).width));
  return Math.ceil(Math.min(limit, widest) + 2);
}

/**
 * Lying bars, the largest on top; `isOther` ones are what is put together, and grey.
 *
 * @param {{ name: string, value: number, label: string, isOther?: boolean }[]} rows
 * @param {(value: number) => string} write
 * @param {string | null} lit the name of the only bar that is not pale
 */
export function ranking(rows, write, lit = null) {
  const option = look("ranking");
  const names = rows.map((row) => row.name);
  const width = widthOf(names, LABEL_WIDTH);
  first(option.yAxis).data = names;
  Object.assign(first(option.yAxis).axisLabel, { width, overflow: "truncate", interval: 0 });
  const grey = themes[theme].hourly.series[1].itemStyle.color;
  const series = option.series[0];
  series.data = rows.map((row) => ({
    value: row.value,
    itemStyle: {
      ...(row.isOther ? { color: grey } : {}),
      opacity: lit === null || lit === row.name ? 1 : 0.4,
    },
  }));
  series.label.formatter = (/** @type {any} */ point) => rows[point.dataIndex].label;
  option.tooltip.valueFormatter = write;
  // The figures stand behind the bars' ends.
  const right = widthOf(
    rows.map((row) => row.label),
    LABEL_WIDTH,
  );
  Object.assign(option.grid, { containLabel: false, left: width + 14, right: right + 10 });
  return option;
}

/**
 * The map of China.
 *
 * @param {{ place: string, value: number }[]} rows with the map's own names
 * @param {(place: string, value: number) => string} title
 * @param {(value: number) => string} write
 * @param {(place: string) => string} name
 */
export function mapOf(rows, title, write, name) {
  const option = look("map");
  option.series[0].data = rows.map((row) => ({ name: row.place, value: row.value }));
  option.series[0].emphasis.label.formatter = (/** @type {any} */ point) => name(point.name);
  option.visualMap.max = Math.max(1, ...rows.map((row) => row.value));
  option.visualMap.formatter = write;
  option.visualMap.text = [write(option.visualMap.max), "0"];
  option.tooltip.formatter = (/** @type {any} */ point) =>
    title(point.name, Number.isFinite(point.value) ? point.value : 0);
  return option;
}
