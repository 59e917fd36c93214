"""The looks of the charts as ECharts options, made with pyecharts; the page fills in figures and
words.

Options hold neither data nor text nor code: tooltips are drawn by ECharts as text on the canvas
("richText"), so that what stands in the data is never read as HTML.
"""

from __future__ import annotations

import json
from typing import Any

from pyecharts import options as opts
from pyecharts.charts import Bar, Line, Map
from pyecharts.charts.base import Base

INK, QUIET, LINE, FAINT = "#1d2939", "#526071", "#e4e9f0", "#eef2f7"
BLUE, TEAL, AMBER, VIOLET, ROSE, GREY = (
    "#2f6bd8",
    "#1f9a8a",
    "#d98e1f",
    "#7b61c9",
    "#cf4a63",
    "#8a97a8",
)
SERIES = [BLUE, TEAL, AMBER, VIOLET, ROSE, GREY, "#4fa3d9", "#9c7a4d"]
SHADES = ["#eaf1fd", "#bcd4f8", "#82aef0", "#4a84e0", "#1f57b8"]
FONT = (
    "system-ui, -apple-system, 'Segoe UI', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK "
    "SC', sans-serif"
)
MAP = "china"


def charts() -> dict[str, dict[str, Any]]:
    """Return the options of each chart by its name."""
    return {
        "hourly": _framed(_lines([BLUE, GREY], area=True)),
        "daily": _framed(_bars([BLUE])),
        "ranking": _framed(_bars([BLUE], flat=True)),
        "bands": _framed(_bars([TEAL])),
        "map": _framed(_map()),
        "active": _framed(_lines([BLUE, TEAL, VIOLET, AMBER])),
        "share": _framed(_lines([TEAL], area=True)),
        "quality": _framed(_bars(SERIES, stacked=True)),
        "age": _framed(_lines([BLUE, AMBER])),
        "trend": _framed(_lines(SERIES)),
    }


def _framed(chart: Base) -> dict[str, Any]:
    """Return the options of a chart with what all have in common."""
    given: dict[str, Any] = json.loads(chart.dump_options_with_quotes())
    # Figures that are renewed each minute and a page that is printed at once are not to be seen
    # half drawn; canvas text has the page's own face.
    common = {"animation": False, "textStyle": {"fontFamily": FONT, "color": INK}, "title": None}
    return {name: value for name, value in {**given, **common}.items() if value is not None}


def _tooltip(trigger: str, pointer: str = "line") -> dict[str, Any]:
    return opts.TooltipOpts(
        trigger=trigger,
        axis_pointer_type=pointer,
        background_color="#ffffff",
        border_color=LINE,
        border_width=1,
        textstyle_opts=opts.TextStyleOpts(color=INK, font_size=12),
        is_confine=True,
    ).opts | {"renderMode": "richText", "padding": [8, 12]}


def _axis(**more: Any) -> opts.AxisOpts:
    return opts.AxisOpts(
        axisline_opts=opts.AxisLineOpts(linestyle_opts=opts.LineStyleOpts(color=LINE)),
        axistick_opts=opts.AxisTickOpts(is_show=False),
        axislabel_opts=opts.LabelOpts(color=QUIET, font_size=12, margin=10),
        splitline_opts=opts.SplitLineOpts(is_show=False),
        **more,
    )


def _value_axis(position: str | None = None) -> opts.AxisOpts:
    return opts.AxisOpts(
        type_="value",
        split_number=4,
        position=position,
        axisline_opts=opts.AxisLineOpts(is_show=False),
        axistick_opts=opts.AxisTickOpts(is_show=False),
        axislabel_opts=opts.LabelOpts(color=QUIET, font_size=12),
        splitline_opts=opts.SplitLineOpts(
            is_show=True, linestyle_opts=opts.LineStyleOpts(color=FAINT)
        ),
    )


def _legend() -> opts.LegendOpts:
    # Where the names do not fit beside each other they scroll, and do not run into the chart.
    return opts.LegendOpts(
        type_="scroll",
        pos_top=0,
        pos_left=0,
        item_width=14,
        item_height=8,
        item_gap=18,
        textstyle_opts=opts.TextStyleOpts(color=QUIET, font_size=12),
    )


def _grid(chart: Base, top: int = 34) -> Base:
    # containLabel leaves room for labels of any length, in both languages and at any width.
    chart.options["grid"] = opts.GridOpts(
        pos_left=4, pos_right=14, pos_top=top, pos_bottom=4, is_contain_label=True
    ).opts
    return chart


def _lines(colors: list[str], *, area: bool = False) -> Base:
    chart = Line().add_xaxis([])
    for place, color in enumerate(colors):
        first = place == 0
        chart.add_yaxis(
            "",
            [],
            is_smooth=True,
            is_symbol_show=False,
            symbol_size=6,
            linestyle_opts=opts.LineStyleOpts(
                color=color,
                width=2.5 if first else 1.8,
                type_="dashed" if color == GREY else "solid",
            ),
            itemstyle_opts=opts.ItemStyleOpts(color=color),
            areastyle_opts=opts.AreaStyleOpts(color=color, opacity=0.12)
            if area and first
            else None,
            label_opts=opts.LabelOpts(is_show=False),
        )
        # Monotone, so that a smooth line shows no figure above or below those that there are.
        chart.options["series"][-1]["smoothMonotone"] = "x"
    chart.set_global_opts(
        xaxis_opts=_axis(type_="category", boundary_gap=False),
        yaxis_opts=_value_axis(),
        legend_opts=_legend(),
    )
    chart.options["tooltip"] = _tooltip("axis")
    return _grid(chart)


def _bars(colors: list[str], *, flat: bool = False, stacked: bool = False) -> Base:
    chart = Bar().add_xaxis([])
    for color in colors:
        chart.add_yaxis(
            "",
            [],
            stack="all" if stacked else None,
            bar_max_width=18 if flat else 34,
            label_opts=opts.LabelOpts(is_show=flat, position="right", color=QUIET, font_size=12),
        )
        # Round at the free end only, for which pyecharts has no option.
        chart.options["series"][-1]["itemStyle"] = {
            "color": color,
            "borderRadius": 0 if stacked else [0, 3, 3, 0] if flat else [3, 3, 0, 0],
        }
    category = _axis(type_="category", is_inverse=flat)
    values = opts.AxisOpts(is_show=False, type_="value") if flat else _value_axis()
    chart.set_global_opts(
        xaxis_opts=values if flat else category,
        yaxis_opts=category if flat else values,
        legend_opts=_legend() if stacked else opts.LegendOpts(is_show=False),
    )
    chart.options["tooltip"] = _tooltip("axis", "shadow")
    return _grid(chart, top=34 if stacked else 12)


def _map() -> Base:
    # pyecharts looks at the first pair for its kind; the page puts the figures in its place.
    chart = Map().add(
        "",
        [("", 0)],
        MAP,
        is_map_symbol_show=False,
        is_roam=False,
        label_opts=opts.LabelOpts(is_show=False),
        itemstyle_opts=opts.ItemStyleOpts(
            area_color="#f4f7fb", border_color="#b9c6d8", border_width=0.7
        ),
        emphasis_itemstyle_opts=opts.ItemStyleOpts(area_color="#f6c667"),
        emphasis_label_opts=opts.LabelOpts(is_show=True, color=INK),
    )
    chart.set_global_opts(visualmap_opts=_shades(), legend_opts=opts.LegendOpts(is_show=False))
    chart.options["series"][0] |= {
        "data": [],
        "selectedMode": False,
        "preserveAspect": True,
        "left": 24,
        "right": 4,
        "top": 6,
        "bottom": 6,
        "aspectScale": 0.8,
    }
    chart.options["tooltip"] = _tooltip("item")
    return chart


def _shades() -> opts.VisualMapOpts:
    return opts.VisualMapOpts(
        is_calculable=False,
        range_color=SHADES,
        item_width=10,
        item_height=90,
        pos_left=0,
        pos_bottom=0,
        textstyle_opts=opts.TextStyleOpts(color=QUIET, font_size=11),
    )
