"""The health of a target over time: its deliveries a day by what became of them."""

from collections.abc import Iterable
from datetime import date, timedelta

from cii_project.console.core.charts import Chart, Series

HEALTH_COLOURS = {"Delivered": "#22c55e", "Waiting": "#f59e0b", "Held": "#8b5cf6", "Dead": "#ef4444"}
LABEL_BY_STATE = {
    "delivered": "Delivered",
    "due": "Waiting",
    "sending": "Waiting",
    "held": "Held",
    "dead": "Dead",
}


def health_chart(rows: Iterable[tuple[date, str, int]], days: int, today: date) -> Chart:
    """``rows`` of (day, state of delivery, number) as stacked bars over the last ``days`` days."""
    calendar = [today - timedelta(days=days - 1 - n) for n in range(days)]
    counts = {label: dict.fromkeys(calendar, 0) for label in HEALTH_COLOURS}
    for day, state, number in rows:
        label = LABEL_BY_STATE.get(state)
        if label and day in counts[label]:
            counts[label][day] += number
    series = [
        Series(label, label.lower(), HEALTH_COLOURS[label], list(by_day.values()))
        for label, by_day in counts.items()
    ]
    return Chart("bar", "deliveries", calendar, series)
