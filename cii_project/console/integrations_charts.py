"""The health of a target over time, as Chart.js wants it."""

import json
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

COLOURS = {"Delivered": "#22c55e", "Waiting": "#f59e0b", "Dead": "#ef4444"}
GROUPS = {"delivered": "Delivered", "due": "Waiting", "sending": "Waiting", "dead": "Dead"}


def health_chart(rows: Iterable[tuple[date, str, int]], days: int, today: date) -> dict[str, Any]:
    """``rows`` of (day, state of delivery, number) as stacked bars, with their sums in words."""
    calendar = [today - timedelta(days=days - 1 - n) for n in range(days)]
    counts = {label: dict.fromkeys(calendar, 0) for label in COLOURS}
    for day, state, number in rows:
        label = GROUPS.get(state)
        if label and day in counts[label]:
            counts[label][day] += number
    data = {
        "labels": [f"{day.day} {day:%b}" for day in calendar],
        "datasets": [
            {
                "label": label,
                "data": list(counts[label].values()),
                "backgroundColor": colour,
                "maxBarThickness": 18,
            }
            for label, colour in COLOURS.items()
        ],
    }
    ticks = {"color": "#7c8595", "maxRotation": 0, "autoSkip": True, "maxTicksLimit": 7, "precision": 0}
    axis = {"stacked": True, "ticks": ticks, "border": {"display": False}}
    options = {
        "animation": False,
        "maintainAspectRatio": False,
        "plugins": {"legend": {"display": False}},
        "scales": {
            "x": {**axis, "grid": {"display": False}},
            "y": {**axis, "beginAtZero": True, "grid": {"color": "#8883"}},
        },
    }
    sums = [(label, sum(by_day.values()), COLOURS[label]) for label, by_day in counts.items()]
    return {
        "data": json.dumps(data),
        "options": json.dumps(options),
        "sums": sums,
        "empty": not any(number for _, number, _ in sums),
    }
