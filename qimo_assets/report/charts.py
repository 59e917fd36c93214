"""The looks of the charts as ECharts options, made with pyecharts; the page fills in figures and
words.

Options hold neither data nor text nor code: tooltips are drawn by ECharts as text on the canvas
("richText"), so that what stands in the data is never read as HTML.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyecharts import options as opts
from pyecharts.charts import Bar, Line, Map
from pyecharts.charts.base import Base


@dataclass(frozen=True)
class Theme:
    """The colours of the charts on one ground.

    Each colour of a series has at least 3:1 against the ground, and any two that stand in one
    chart can be told apart by colour-blind readers; a test calculates both.

    Attributes:
        ground: What the charts stand on.
        ink: Text.
        quiet: Text of axes and legends.
        line: Axes.
        faint: Grid lines.
        other: What is put together, and what is compared with.
        series: The series of a chart, in their order.
        shades: The map from little to much.
        land: A province without messages.
        border: Between provinces.
        touched: The province under the pointer.
    """

    ground: str
    ink: str
    quiet: str
    line: str
    faint: str
    other: str
    series: tuple[str, ...]
    shades: tuple[str, ...]
    land: str
    border: str
    touched: str


LIGHT = Theme(
    ground="#ffffff",
    ink="#1d2939",
    quiet="#526071",
    line="#d5dce6",
    faint="#eef2f7",
    other="#7b8794",
    series=("#2f6bd8", "#b98843", "#b14283", "#703120", "#69722b", "#239cc1", "#6522aa", "#0f406d"),
    shades=("#eaf1fd", "#bcd4f8", "#82aef0", "#4a84e0", "#1f57b8"),
    land="#f4f7fb",
    border="#b9c6d8",
    touched="#f6c667",
)
DARK = Theme(
    ground="#151f2e",
    ink="#e8eef6",
    quiet="#a9b7c9",
    line="#33435a",
    faint="#233148",
    other="#8996a8",
    series=("#6ea8ff", "#fad828", "#abf3e7", "#e38c30", "#935d7f", "#cf4015", "#3d78d7", "#9bcf8a"),
    shades=("#1d2d47", "#274a80", "#3568b5", "#5b93e6", "#a9cbff"),
    land="#1a2636",
    border="#43546c",
    touched="#c98a1b",
)
THEMES = {"light": LIGHT, "dark": DARK}
# Beside its colour a line has a shape of its own.
SHAPES = ("circle", "rect", "triangle", "diamond")
FONT = (
    "system-ui, -apple-system, 'Segoe UI', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK "
    "SC', sans-serif"
)
MAP = "china"


def charts() -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each theme the options of each chart by its name."""
    return {name: _Looks(theme).all() for name, theme in THEMES.items()}


class _Looks:
    """The charts of one theme."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme

    def all(self) -> dict[str, dict[str, Any]]:
        series = list(self.theme.series)
        first = series[0]
        return {
            "hourly": self._framed(self._lines([first, self.theme.other], area=True)),
            "daily": self._framed(self._bars([first])),
            "ranking": self._framed(self._bars([first], flat=True)),
            "bands": self._framed(self._bars([first])),
            "map": self._framed(self._map()),
            "active": self._framed(self._lines(series[:4])),
            "share": self._framed(self._lines([first], area=True)),
            "quality": self._framed(self._bars(series, stacked=True)),
            "age": self._framed(self._lines(series[:2])),
            "trend": self._framed(self._lines(series)),
        }

    def _framed(self, chart: Base) -> dict[str, Any]:
        """Return the options of a chart with what all have in common."""
        given: dict[str, Any] = json.loads(chart.dump_options_with_quotes())
        # Figures that are renewed each minute and a page that is printed at once are not to be
        # seen half drawn; canvas text has the page's own face.
        common = {
            "animation": False,
            "textStyle": {"fontFamily": FONT, "color": self.theme.ink},
            "title": None,
        }
        return {name: value for name, value in {**given, **common}.items() if value is not None}

    def _tooltip(self, trigger: str, pointer: str = "line") -> dict[str, Any]:
        return opts.TooltipOpts(
            trigger=trigger,
            axis_pointer_type=pointer,
            background_color=self.theme.ground,
            border_color=self.theme.line,
            border_width=1,
            textstyle_opts=opts.TextStyleOpts(color=self.theme.ink, font_size=12),
            is_confine=True,
        ).opts | {"renderMode": "richText", "padding": [8, 12]}

    def _axis(self, **more: Any) -> opts.AxisOpts:
        return opts.AxisOpts(
            axisline_opts=opts.AxisLineOpts(
                linestyle_opts=opts.LineStyleOpts(color=self.theme.line)
            ),
            axistick_opts=opts.AxisTickOpts(is_show=False),
            axislabel_opts=opts.LabelOpts(color=self.theme.quiet, font_size=12, margin=10),
            splitline_opts=opts.SplitLineOpts(is_show=False),
            **more,
        )

    def _value_axis(self) -> opts.AxisOpts:
        return opts.AxisOpts(
            type_="value",
            split_number=4,
            axisline_opts=opts.AxisLineOpts(is_show=False),
            axistick_opts=opts.AxisTickOpts(is_show=False),
            axislabel_opts=opts.LabelOpts(color=self.theme.quiet, font_size=12),
            splitline_opts=opts.SplitLineOpts(
                is_show=True, linestyle_opts=opts.LineStyleOpts(color=self.theme.faint)
            ),
        )

    def _lines(self, colors: list[str], *, area: bool = False) -> Base:
        chart = Line().add_xaxis([])
        for place, color in enumerate(colors):
            first = place == 0
            chart.add_yaxis(
                "",
                [],
                is_smooth=True,
                symbol=SHAPES[place % len(SHAPES)],
                symbol_size=7,
                linestyle_opts=opts.LineStyleOpts(
                    color=color,
                    width=2.5 if first else 1.8,
                    type_="dashed" if color == self.theme.other else "solid",
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
            xaxis_opts=self._axis(type_="category", boundary_gap=False),
            yaxis_opts=self._value_axis(),
            legend_opts=opts.LegendOpts(is_show=False),
        )
        chart.options["tooltip"] = self._tooltip("axis")
        return _grid(chart)

    def _bars(self, colors: list[str], *, flat: bool = False, stacked: bool = False) -> Base:
        chart = Bar().add_xaxis([])
        for color in colors:
            chart.add_yaxis(
                "",
                [],
                stack="all" if stacked else None,
                bar_max_width=18 if flat else 34,
                label_opts=opts.LabelOpts(
                    is_show=flat, position="right", color=self.theme.quiet, font_size=12
                ),
            )
            # Round at the free end only, and a seam between the parts of a bar, for which pyecharts
            # has no options.
            chart.options["series"][-1]["itemStyle"] = {
                "color": color,
                "borderRadius": 0 if stacked else [0, 3, 3, 0] if flat else [3, 3, 0, 0],
                **({"borderColor": self.theme.ground, "borderWidth": 1} if stacked else {}),
            }
        category = self._axis(type_="category", is_inverse=flat)
        values = opts.AxisOpts(is_show=False, type_="value") if flat else self._value_axis()
        chart.set_global_opts(
            xaxis_opts=values if flat else category,
            yaxis_opts=category if flat else values,
            legend_opts=opts.LegendOpts(is_show=False),
        )
        chart.options["tooltip"] = self._tooltip("axis", "shadow")
        return _grid(chart)

    def _map(self) -> Base:
        # pyecharts looks at the first pair for its kind; the page puts the figures in its place.
        chart = Map().add(
            "",
            [("", 0)],
            MAP,
            is_map_symbol_show=False,
            is_roam=False,
            label_opts=opts.LabelOpts(is_show=False),
            itemstyle_opts=opts.ItemStyleOpts(
                area_color=self.theme.land, border_color=self.theme.border, border_width=0.7
            ),
            emphasis_itemstyle_opts=opts.ItemStyleOpts(area_color=self.theme.touched),
            emphasis_label_opts=opts.LabelOpts(is_show=True, color=self.theme.ink),
        )
        chart.set_global_opts(
            visualmap_opts=self._shades(), legend_opts=opts.LegendOpts(is_show=False)
        )
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
        chart.options["tooltip"] = self._tooltip("item")
        return chart

    def _shades(self) -> opts.VisualMapOpts:
        return opts.VisualMapOpts(
            is_calculable=False,
            range_color=list(self.theme.shades),
            item_width=10,
            item_height=90,
            pos_left=0,
            pos_bottom=0,
            textstyle_opts=opts.TextStyleOpts(color=self.theme.quiet, font_size=11),
        )


def _grid(chart: Base) -> Base:
    # containLabel leaves room for labels of any length, in both languages and at any width.
    chart.options["grid"] = opts.GridOpts(
        pos_left=4, pos_right=14, pos_top=12, pos_bottom=4, is_contain_label=True
    ).opts
    return chart
