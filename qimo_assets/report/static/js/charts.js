/** Draws charts: the options that pyecharts made, with figures and words filled in. */

const LABEL_WIDTH = 150;
const drawn = new Map();
let looks = {};
let provinces = [];

/** Take the options of all charts and the map. */
export function prepare(options, map) {
  looks = options;
  provinces = map.features.map((feature) => feature.properties.name);
  echarts.registerMap("china", map);
}

/** The map's name of a province as ip2region writes it (广东省, 广西, 北京); null for none. */
export function provinceOnMap(province) {
  return provinces.find((name) => province.startsWith(name)) ?? null;
}

/** Draw a chart into an element, whose size is the chart's. */
export function draw(place, option) {
  let chart = drawn.get(place);
  if (!chart) {
    // Twice the pixels also on simple screens: print would show them otherwise.
    chart = echarts.init(place, null, { renderer: "canvas", devicePixelRatio: Math.max(2, window.devicePixelRatio) });
    drawn.set(place, chart);
    new ResizeObserver(() => fitOne(chart)).observe(place);
  }
  chart.setOption(option, { notMerge: true });
}

/** Fit every chart to its element, and draw it before this returns, as it has to be before printing. */
export function fit() {
  for (const chart of drawn.values()) fitOne(chart);
}

function fitOne(chart) {
  chart.resize();
  chart.getZr().flush();
}

/** The options of a chart as a copy of one's own. */
function look(name) {
  return structuredClone(looks[name]);
}

function first(value) {
  return Array.isArray(value) ? value[0] : value;
}

/**
 * Lines or bars over categories.
 *
 * `series` are `{ name, values }`; `write` writes a value in full, `short` at the axis.
 */
export function overCategories(name, categories, series, write, short) {
  const option = look(name);
  const styles = option.series;
  option.series = series.map((one, place) => ({ ...styles[place % styles.length], name: one.name, data: one.values }));
  const legend = first(option.legend);
  legend.data = series.map((one) => one.name);
  legend.show = legend.show && series.length > 1;
  if (!legend.show) option.grid.top = 12;
  first(option.xAxis).data = categories;
  first(option.yAxis).axisLabel.formatter = (value) => short(value);
  option.tooltip.valueFormatter = (value) => (value === null || value === undefined ? "–" : write(value));
  return option;
}

/** Bars over categories of which some are pale. */
export function withPale(option, isPale) {
  for (const series of option.series) {
    series.data = series.data.map((value, place) => ({ value, itemStyle: { opacity: isPale(place) ? 0.35 : 1 } }));
  }
  return option;
}

/** How wide the widest of some labels is, in pixels, up to a limit. */
function widthOf(labels, limit) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `12px ${looks.ranking.textStyle.fontFamily}`;
  return Math.ceil(Math.min(limit, Math.max(0, ...labels.map((label) => pen.measureText(label).width)) + 2));
}

/** Lying bars, the largest on top. `rows` are `{ name, value, label }`. */
export function ranking(rows, write) {
  const option = look("ranking");
  first(option.yAxis).data = rows.map((row) => row.name);
  const width = widthOf(rows.map((row) => row.name), LABEL_WIDTH);
  Object.assign(first(option.yAxis).axisLabel, { width, overflow: "truncate" });
  const series = option.series[0];
  series.data = rows.map((row) => row.value);
  series.label.formatter = (point) => rows[point.dataIndex].label;
  option.tooltip.valueFormatter = write;
  // The figures stand behind the bars' ends.
  Object.assign(option.grid, { containLabel: false, left: width + 14, right: widthOf(rows.map((row) => row.label), LABEL_WIDTH) + 10 });
  return option;
}

/** The map of China. `rows` are `{ place, value }` with the map's own names. */
export function mapOf(rows, title, write, name) {
  const option = look("map");
  option.series[0].data = rows.map((row) => ({ name: row.place, value: row.value }));
  option.series[0].emphasis.label.formatter = (point) => name(point.name);
  option.visualMap.max = Math.max(1, ...rows.map((row) => row.value));
  option.visualMap.formatter = write;
  option.visualMap.text = [write(option.visualMap.max), "0"];
  option.tooltip.formatter = (point) => title(point.name, Number.isFinite(point.value) ? point.value : 0);
  return option;
}
