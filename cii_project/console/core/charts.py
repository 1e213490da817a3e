"""Charts of figures a day: what Chart.js draws, the legend next to it, and the same figures as a table below
it.

Series differ by line and mark, bars by pattern, and all by their place in the table: not by colour alone. ``templates/console/parts/chart.html`` draws one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from cii_project.console.core.viewer_zone import shown_day

FEW_DAYS = 7  # up to here a line is drawn with its points
# Dashes of a line in pixels, and the mark of its points: of the first series, the second …
LINES: Sequence[tuple[list[int], str]] = (
    ([], "circle"),
    ([8, 4], "rect"),
    ([2, 3], "triangle"),
    ([10, 3, 2, 3], "rectRot"),
)
# The patterns of bars, as console.js draws them: of the first series, the second …
PATTERNS = ("solid", "stripes", "dots", "crossed")
AXIS = {
    "ticks": {
        "color": "#7c8595",
        "maxRotation": 0,
        "autoSkip": True,
        "autoSkipPadding": 14,
        "maxTicksLimit": 7,
        "precision": 0,
    },
    "border": {"display": False},
}


@dataclass(frozen=True, slots=True)
class Series:
    """Values by day; None where nothing is known of a day. ``colour`` of CSS; ``key`` names it in style sheets."""

    label: str
    key: str
    colour: str
    values: Sequence[int | None]

    @property
    def first(self) -> int:
        return next((value for value in self.values if value is not None), 0)

    @property
    def last(self) -> int:
        return next((value for value in reversed(self.values) if value is not None), 0)

    @property
    def total(self) -> int:
        return sum(value or 0 for value in self.values)


@dataclass(frozen=True, slots=True)
class Chart:
    """``unit``: what the values count, such as “open findings”; shown at the axis and in the table's
    caption."""

    kind: Literal["line", "bar"]
    unit: str
    days: Sequence[date]
    series: Sequence[Series]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw: no day, or bars without height."""
        if self.kind == "bar":
            return not any(one.total for one in self.series)
        return not self.days

    @property
    def has_one_point(self) -> bool:
        return len(self.days) == 1

    @property
    def label(self) -> str:
        """The chart in a sentence, for screen readers."""
        length = "one day" if self.has_one_point else f"{len(self.days)} days"
        if self.kind == "bar":
            figures = "; ".join(f"{one.label} {one.total:,}" for one in self.series)
        else:
            figures = "; ".join(f"{one.label} from {one.first:,} to {one.last:,}" for one in self.series)
        return f"{self.unit.capitalize()} over {length}: {figures}"

    @property
    def rows(self) -> list[tuple[date, list[int | None]]]:
        """The table: each day with the values of all series, newest first."""
        return [
            (day, [one.values[place] for one in self.series])
            for place, day in reversed([*enumerate(self.days)])
        ]

    @property
    def data(self) -> str:
        """Chart.js' data as JSON."""
        draw = self._line if self.kind == "line" else self._bar
        datasets = [draw(place, one) for place, one in enumerate(self.series)]
        return json.dumps({"labels": [shown_day(day) for day in self.days], "datasets": datasets})

    @property
    def options(self) -> str:
        """Chart.js' options as JSON. Wherever the pointer is, the values of that day are shown with its date."""
        stacked = self.kind == "bar"
        few = len(self.days) <= FEW_DAYS
        return json.dumps(
            {
                "animation": False,
                "maintainAspectRatio": False,
                "interaction": {"mode": "index", "intersect": False},
                "plugins": {
                    "legend": {"display": False},
                    "tooltip": {"enabled": True, "mode": "index", "intersect": False, "usePointStyle": True},
                },
                "scales": {
                    "x": {**AXIS, "stacked": stacked, "grid": {"display": False}, "offset": stacked or few},
                    "y": {
                        **AXIS,
                        "stacked": stacked,
                        "beginAtZero": True,
                        "grid": {"color": "#8883"},
                        "title": {"display": True, "text": self.unit, "color": "#7c8595"},
                    },
                },
            }
        )

    def _line(self, place: int, one: Series) -> dict[str, object]:
        dash, mark = LINES[place % len(LINES)]
        return {
            "label": one.label,
            "data": list(one.values),
            "borderColor": one.colour,
            "backgroundColor": one.colour,
            "borderWidth": 2,
            "borderDash": dash,
            "pointStyle": mark,
            "pointRadius": 4 if len(self.days) <= FEW_DAYS else 0,
            "pointHoverRadius": 5,
            "pointHitRadius": 12,
            "tension": 0.25,
        }

    def _bar(self, place: int, one: Series) -> dict[str, object]:
        return {
            "label": one.label,
            "data": list(one.values),
            "backgroundColor": one.colour,
            "pattern": PATTERNS[place % len(PATTERNS)],
            "pointStyle": "rect",
            "maxBarThickness": 18,
        }
