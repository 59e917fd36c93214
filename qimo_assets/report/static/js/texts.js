/** Words in Chinese and English, and how numbers, days and names from the data are written in each. */

/** @type {Record<string, string[]>} */
const WORDS = {
  title: ["七陌消息报表", "Qimo message report"],
  skip: ["跳到内容", "Skip to content"],
  print: ["打印", "Print"],
  language: ["English", "中文"],
  controls: ["选择日期", "Choose the days"],
  range: ["范围", "Range"],
  oneDay: ["单日", "One day"],
  sevenDays: ["近 7 天", "7 days"],
  thirtyDays: ["近 30 天", "30 days"],
  ownRange: ["自选", "Custom"],
  from: ["起始日", "First day"],
  to: ["截止日", "Last day"],
  earlier: ["前一段", "Earlier"],
  later: ["后一段", "Later"],
  newest: ["最新", "Newest"],
  wall: ["大屏", "Wall"],
  leaveWall: ["退出大屏", "Leave the wall"],
  dark: ["深色", "Dark"],
  light: ["浅色", "Light"],
  asOf: ["截至 {0}", "as of {0}"],
  fresh: ["最新数据 {0}（{1}前）", "Newest figures {0} ({1} ago)"],
  quiet: [
    "最新数据是 {0} 前的，主题中没有积压：之后没有新消息，或者发布失败。",
    "The newest figures are {0} old, and no line waits in the topic: none came since, or publishing fails.",
  ],
  old: ["最新数据是 {0} 前的，请留意。", "The newest figures are {0} old."],
  unchecked: [
    "平台已有 {0} 没有检查新数据：Dagster 可能没有运行，本页数据停在 {1}。",
    "The platform has not looked for new figures for {0}: is Dagster running? What you see is as of {1}.",
  ],
  behind: [
    "平台落后：还有 {0} 行在等待入湖，本页数据停在 {1}。",
    "The platform is behind: {0} lines wait for the lake, and what you see is as of {1}.",
  ],
  brokerSilent: [
    "消息队列没有应答，无法判断是否有积压。",
    "The broker does not answer: whether lines wait is not known.",
  ],
  loadedLater: ["历史导入", "Loaded as history"],
  noAges: ["所选日期没有实时采集的消息", "no message of these days was collected live"],
  weightedMean: ["{0}（按消息数加权）", "{0} (weighted by messages)"],
  onTime: ["迟到（实时采集的日子）", "Late (days collected live)"],
  empty: [
    "还没有已发布的数据。第一批数据发布后，本页会自动显示。",
    "Nothing is published yet. The page fills by itself after the first publication.",
  ],
  unreadable: [
    "暂时读不到数据，稍后自动重试。",
    "The figures cannot be read at the moment; trying again soon.",
  ],
  noDay: ["所选日期没有数据。", "There are no figures for these days."],
  unfinished: ["当日未结束，截至 {0}", "day in progress, as of {0}"],
  nothing: ["所选日期没有数据", "No figures for these days"],
  days: ["{0} 天", "{0} days"],

  overview: ["概览", "Overview"],
  regions: ["地域", "Regions"],
  people: ["用户", "People"],
  devices: ["设备与消息", "Devices and messages"],
  activity: ["活跃与留存", "Activity and retention"],
  health: ["数据管道", "Pipeline health"],
  others: ["其他指标", "Further metrics"],

  messages: ["消息数", "Messages"],
  senders: ["发件人数", "Senders"],
  receivers: ["收件人数", "Receivers"],
  users: ["用户数", "Users"],
  pairs: ["会话对数", "Pairs"],
  perSender: ["人均发送", "Per sender"],
  dailyMean: ["日均", "Daily mean"],
  dailyMeanOf: ["{0}（日均）", "{0} (daily mean)"],
  perDay: ["日均 {0}", "{0} a day"],
  versus: ["对比", "Compare with"],
  versusPrevious: ["前一期", "Period before"],
  versusWeek: ["上周同日", "Week before"],
  versusChosen: ["自选日期", "Chosen days"],
  versusFrom: ["对比起始日", "First day to compare with"],
  previousDay: ["较前一日", "vs. the day before"],
  previousRange: ["较前 {0} 天", "vs. the {0} days before"],
  weekDay: ["较上周同日", "vs. the same weekday a week before"],
  weekRange: ["较 {0} 天前同期", "vs. the same days {0} days before"],
  chosenDays: ["较 {0} 起", "vs. from {0}"],
  untilHour: ["均截至 {0}", "both until {0}"],
  notComparable: ["对比期数据不全，不作比较", "not comparable: days to compare with are missing"],
  beganWithin: [
    "采集从当日中途开始，此前为历史导入，不作比较",
    "not comparable: collection began within the day, the days before were loaded as history",
  ],
  firstHour: ["首小时未结束，不作比较", "not comparable before the first hour is over"],
  notBeforeEnd: ["去重数，当日结束后再比较", "a distinct count: comparable when the day is over"],
  notByThis: ["数据表中没有按此项的划分", "the tables do not hold it by this"],
  notHoursByThis: [
    "数据表中没有按此项的小时数，当日结束后再比较",
    "the tables hold no hours of this: comparable when the day is over",
  ],
  noWholeDay: ["所选范围内还没有完整的一天", "no day of these is over yet"],
  distinctOf: ["{0}（{1} 天去重）", "{0} (distinct in {1} days)"],
  wholeDaysOnly: ["不含未结束的日子", "without the day in progress"],
  includesOpen: ["含未结束的 {0}（截至 {1}）", "with {0}, in progress, as of {1}"],
  up: ["上升", "up"],
  down: ["下降", "down"],
  lastDays: ["近 {0} 天走势", "Last {0} days"],

  hourly: ["分时消息量", "Messages by hour"],
  hourlyMean: ["分时消息量（日均）", "Messages by hour (daily mean)"],
  peak: ["高峰 {0}，{1} 条", "Peak {0}, {1} messages"],
  hourRunning: ["{0} 起至今 {1} 条，不画入曲线", "since {0} so far {1}, not in the curve"],
  soFar: ["{0}（进行中）", "{0} (so far)"],
  thisDay: ["当日", "This day"],
  thisRange: ["本期", "This period"],
  comparedDay: ["{0}", "{0}"],
  daily: ["每日消息量", "Messages by day"],
  dailyNote: [
    "截至所选日的 {0} 天，深色为所选范围",
    "{0} days up to the last one chosen; the chosen ones are darker",
  ],
  senderMap: ["发件人地域", "Where senders are"],
  receiverMap: ["收件人地域", "Where receivers are"],
  first: ["{0} 居首，占 {1}", "{0} leads with {1}"],
  provinces: ["省份", "Provinces"],
  abroad: ["境外及未知", "Abroad and unknown"],
  unknownPlace: ["未知地域", "Unknown"],
  noProvince: ["（省份未知）", " (province unknown)"],
  mapNote: [
    "示意图：底图取自 Apache ECharts 4.9.0，未附审图号；公开展示前请用 QIMO_REPORT__MAP_FILE 换成有审图号的地图。",
    "Sketch map from Apache ECharts 4.9.0, without an approval number of the map: before you show it in public in China, name an approved one in QIMO_REPORT__MAP_FILE.",
  ],
  other: ["其他（{0} 项）", "Other ({0})"],
  filter: ["只看 {0}", "Only {0}"],
  filterHint: ["点击以筛选", "Click to filter"],
  clearFilter: ["取消筛选 {0}", "Clear the filter {0}"],
  filterNote: [
    "已筛选：{0}。消息数、{1}和每日消息量按此筛选；指标表没有两个维度的交叉，其余卡片显示全部。",
    "Filtered: {0}. Messages, {1} and messages by day are filtered; the tables do not cross two dimensions, so the other cards show everything.",
  ],
  everything: ["全部", "everything"],
  sexes: ["性别矩阵", "Messages by sex"],
  sexesNote: ["行为发件人，列为收件人", "Rows are senders, columns receivers"],
  senderTop: ["发送最多的账号", "Top senders"],
  receiverTop: ["接收最多的账号", "Top receivers"],
  topNote: ["合计每日前 100 名中的消息", "Sums of each day's first 100"],
  phones: ["手机型号", "Phones"],
  systems: ["操作系统", "Operating systems"],
  networks: ["网络制式", "Networks"],
  types: ["消息类型", "Message types"],
  bands: ["双方距离（公里）", "Distance between both (km)"],
  active: ["活跃用户", "Active users"],
  retention: ["次日留存率", "Next-day retention"],
  retentionNote: [
    "当日活跃用户中次日再次活跃的比例；次日结束后才有",
    "Share of a day's active users who are active the next day; known when that day is over",
  ],
  dailyActive: ["日活跃", "Daily"],
  weeklyActive: ["周活跃（7 天）", "Weekly (7 days)"],
  monthlyActive: ["月活跃（30 天）", "Monthly (30 days)"],
  newUsers: ["新增用户", "New"],
  lines: ["采集行数", "Lines collected"],
  rows: ["入湖行数", "Rows in the lake"],
  quarantined: ["隔离行数", "Quarantined"],
  sentAgain: ["重复采集", "Sent again"],
  late: ["迟到消息", "Late"],
  age: ["从消息到入湖的时延", "Age from message to lake"],
  ageP50: ["时延 P50", "Age, median"],
  ageP99: ["时延 P99", "Age, 99th percentile"],
  seconds: ["{0} 秒", "{0} s"],
  minutes: ["{0} 分钟", "{0} min"],
  hours: ["{0} 小时", "{0} h"],
  reasons: ["隔离原因", "Reasons of quarantine"],
  nothingQuarantined: ["没有隔离的行", "Nothing is quarantined"],

  table: ["数据表", "Data table"],
  tools: ["{0}：更多", "{0}: more"],
  definitions: ["口径", "Definitions"],
  csv: ["下载 CSV", "Download CSV"],
  png: ["下载 PNG", "Download PNG"],
  link: ["复制链接", "Copy link"],
  copied: ["已复制", "Copied"],
  fullScreen: ["全屏", "Full screen"],
  running: ["虚线：未结束", "dashed: in progress"],
  legend: ["图例", "Legend"],
  showAll: ["显示全部 {0} 名", "Show all {0}"],
  showFew: ["只显示前 {0} 名", "Show the first {0}"],
  share: ["占比", "Share"],
  rank: ["名次", "Rank"],
  account: ["账号", "Account"],
  nickname: ["昵称", "Nickname"],
  hour: ["小时", "Hour"],
  day: ["日期", "Day"],
  country: ["国家/地区", "Country"],
  province: ["省份", "Province"],
  sender: ["发件人", "Sender"],
  receiver: ["收件人", "Receiver"],
  phone_type: ["手机型号", "Phone"],
  os: ["操作系统", "System"],
  network: ["网络", "Network"],
  msg_type: ["消息类型", "Type"],
  band: ["距离（公里）", "Distance (km)"],
  unit: ["单位：{0}", "Unit: {0}"],

  noteTime: [
    "日期按消息自身时间（北京时间）划分，迟到的消息会更正旧日期。",
    "A message belongs to the day of its own time in Shanghai; late messages correct old days.",
  ],
  noteDistinct: [
    "人数、会话对数为去重计数，不能跨天相加：7 天和 30 天的发件人数是去重数，其余多天范围显示完整日的日均值。",
    "People and pairs are distinct counts and do not add up over days: senders of 7 and of 30 days are distinct ones, other ranges show the mean of their whole days.",
  ],
  noteOpen: [
    "未结束的日子只与对比日的同一时刻相比（按小时表中已结束的小时；去重人数无法按小时截取，当日结束后再比较），不计入均值，图中以虚线表示。",
    "A day in progress is compared with the same time of other days, by the hours that are over (distinct counts cannot be cut by hour and wait for its end), left out of means, and dashed in charts.",
  ],
  noteMasked: ["账号已脱敏。", "Accounts are masked."],
  noteSource: ["数据来自 MySQL 指标表。", "The figures are those of the MySQL metric tables."],
};

/** @type {Record<string, string>} */
const NAMES = {
  男: "Male",
  女: "Female",
  未知: "Unknown",
  北京: "Beijing",
  天津: "Tianjin",
  上海: "Shanghai",
  重庆: "Chongqing",
  河北: "Hebei",
  山西: "Shanxi",
  辽宁: "Liaoning",
  吉林: "Jilin",
  黑龙江: "Heilongjiang",
  江苏: "Jiangsu",
  浙江: "Zhejiang",
  安徽: "Anhui",
  福建: "Fujian",
  江西: "Jiangxi",
  山东: "Shandong",
  河南: "Henan",
  湖北: "Hubei",
  湖南: "Hunan",
  广东: "Guangdong",
  海南: "Hainan",
  四川: "Sichuan",
  贵州: "Guizhou",
  云南: "Yunnan",
  陕西: "Shaanxi",
  甘肃: "Gansu",
  青海: "Qinghai",
  台湾: "Taiwan",
  内蒙古: "Inner Mongolia",
  广西: "Guangxi",
  西藏: "Tibet",
  宁夏: "Ningxia",
  新疆: "Xinjiang",
  香港: "Hong Kong",
  澳门: "Macao",
  南海诸岛: "South China Sea Islands",
};

/** @type {Record<string, string>} */
const TYPES = {
  TEXT: "Text",
  IMAGE: "Image",
  AUDIO: "Voice",
  VIDEO: "Video",
  EMOJI: "Sticker",
  LOCATION: "Location",
  FILE: "File",
  LINK: "Link",
  WIFI: "Wi-Fi",
};

/** @type {Record<string, string>} */
const CHINESE = {
  TEXT: "文本",
  IMAGE: "图片",
  AUDIO: "语音",
  VIDEO: "视频",
  EMOJI: "表情",
  LOCATION: "位置",
  FILE: "文件",
  LINK: "链接",
};

/** @type {Record<string, string>} */
const MEASURES = {
  messages: "messages",
  senders: "senders",
  receivers: "receivers",
  users: "users",
  pairs: "pairs",
  lines: "lines",
  rows: "rows",
  sent_again: "sentAgain",
  late: "late",
  age_p50: "ageP50",
  age_p99: "ageP99",
  daily: "dailyActive",
  weekly: "weeklyActive",
  monthly: "monthlyActive",
  new: "newUsers",
};

/** @type {Record<string, string[]>} */
const REASONS = {
  field_count: ["字段数错误", "Field count"],
  not_utf8: ["非 UTF-8", "Not UTF-8"],
  bad_time: ["时间无效", "Bad time"],
  before_first_day: ["早于起始日", "Before the first day"],
  time_ahead: ["时间超前", "Time ahead"],
  no_sender: ["缺发件人", "No sender"],
  no_receiver: ["缺收件人", "No receiver"],
  too_long: ["超长", "Too long"],
};

/** What one language writes. */
export class Texts {
  /** @param {string} language */
  constructor(language) {
    this.language = language;
    this.locale = language === "zh" ? "zh-CN" : "en-GB";
    this.place = language === "zh" ? 0 : 1;
    this.whole = new Intl.NumberFormat(this.locale, { maximumFractionDigits: 0 });
    this.broken = new Intl.NumberFormat(this.locale, {
      maximumFractionDigits: 1,
      minimumFractionDigits: 1,
    });
    this.compact = new Intl.NumberFormat(this.locale, {
      notation: "compact",
      maximumFractionDigits: 1,
    });
    this.percentage = new Intl.NumberFormat(this.locale, {
      style: "percent",
      maximumFractionDigits: 1,
      minimumFractionDigits: 1,
    });
    this.date = new Intl.DateTimeFormat(this.locale, {
      year: "numeric",
      month: "short",
      day: "numeric",
      weekday: "short",
      timeZone: "UTC",
    });
    this.shortDate = new Intl.DateTimeFormat(this.locale, {
      month: language === "zh" ? "numeric" : "short",
      day: "numeric",
      timeZone: "UTC",
    });
    this.countries = countryNames(this.locale);
  }

  /**
   * A word or sentence, its places filled.
   *
   * @param {string} name
   * @param {...any} values
   */
  say(name, ...values) {
    return WORDS[name][this.place].replace(/\{(\d)\}/g, (_, place) =>
      String(values[Number(place)]),
    );
  }

  /** @param {number | null | undefined} value */
  number(value) {
    return value === null || value === undefined ? "–" : this.whole.format(value);
  }

  /** @param {number | null | undefined} value */
  decimal(value) {
    return value === null || value === undefined ? "–" : this.broken.format(value);
  }

  /** @param {number} value */
  short(value) {
    return Math.abs(value) < 10_000 ? this.whole.format(value) : this.compact.format(value);
  }

  /** @param {number} part */
  percent(part) {
    return Number.isFinite(part) ? this.percentage.format(part) : "–";
  }

  /** @param {number | null | undefined} seconds */
  duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 120) return this.say("seconds", this.decimal(seconds));
    if (seconds < 7200) return this.say("minutes", this.decimal(seconds / 60));
    if (seconds < 2 * 86_400) return this.say("hours", this.decimal(seconds / 3600));
    return this.say("days", this.decimal(seconds / 86_400));
  }

  /**
   * Seconds in whole units, as an axis and a sentence have room for.
   *
   * @param {number} seconds
   */
  durationShort(seconds) {
    if (seconds < 120) return this.say("seconds", this.number(seconds));
    if (seconds < 7200) return this.say("minutes", this.number(seconds / 60));
    if (seconds < 2 * 86_400) return this.say("hours", this.number(seconds / 3600));
    return this.say("days", this.number(seconds / 86_400));
  }

  /** @param {string} day */
  day(day) {
    return this.date.format(new Date(`${day}T00:00:00Z`));
  }

  /** @param {string} day */
  dayShort(day) {
    return this.shortDate.format(new Date(`${day}T00:00:00Z`));
  }

  /**
   * A value of a dimension as people of this language write it; what is not known is left as it is.
   *
   * @param {any} value
   */
  name(value) {
    const text = String(value);
    if (this.language === "zh") return CHINESE[text] ?? text;
    return NAMES[text] ?? TYPES[text] ?? this.countries.get(text) ?? text;
  }

  /**
   * The title of a measure.
   *
   * @param {{ name: string, zh?: string }} measure
   */
  measure(measure) {
    const reason = REASONS[measure.name.replace("quarantined_", "")];
    if (measure.name.startsWith("quarantined_") && reason) return reason[this.place];
    if (MEASURES[measure.name]) return this.say(MEASURES[measure.name]);
    return this.language === "zh"
      ? (measure.zh ?? "").replace(/[（(].*/, "")
      : measure.name.replaceAll("_", " ");
  }

  /**
   * What a measure means, as the catalog says.
   *
   * @param {import("./data.js").Measure} measure
   */
  definition(measure) {
    return this.language === "zh" ? measure.zh : measure.en || measure.zh;
  }

  /**
   * The title of a column of the grain.
   *
   * @param {string} name
   */
  column(name) {
    return WORDS[name] ? this.say(name) : name.replaceAll("_", " ");
  }

  /**
   * The title of a metric.
   *
   * @param {import("./data.js").Metric} metric
   */
  metric(metric) {
    return this.language === "zh" ? metric.zh : metric.en;
  }
}

/**
 * Chinese country names, as ip2region writes them, to this locale's: the browser knows both.
 *
 * @param {string} locale
 */
function countryNames(locale) {
  const chinese = new Intl.DisplayNames("zh-CN", { type: "region", fallback: "none" });
  const wanted = new Intl.DisplayNames(locale, { type: "region", fallback: "none" });
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  const names = new Map();
  for (const code of letters.flatMap((first) => letters.map((second) => first + second))) {
    const name = chinese.of(code);
    if (name && !names.has(name)) names.set(name, wanted.of(code));
  }
  return names;
}
