/** ECharts, which index.html loads before the page's own modules. */
declare const echarts: any;
