"""Small charts as inline SVG from the server: no script, sharp in both themes, with a text for screen
readers."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

WIDTH, HEIGHT, PADDING = 120, 28, 3


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Failing users a day, oldest first; None where the check did not run that day."""

    values: Sequence[int | None]

    def known(self) -> list[int]:
        return [value for value in self.values if value is not None]

    def label(self) -> str:
        known = self.known()
        if not known:
            return "Never run in the last 30 days"
        return f"Failing over 30 days: from {known[0]:,} to {known[-1]:,}, highest {max(known):,}"

    def points(self) -> list[tuple[float, float]]:
        known = self.known()
        low, high = min(known), max(known)
        span = (high - low) or 1
        step = (WIDTH - 2 * PADDING) / max(len(self.values) - 1, 1)
        flat = high == low
        return [
            (
                round(PADDING + index * step, 1),
                HEIGHT / 2
                if flat
                else round(HEIGHT - PADDING - (value - low) / span * (HEIGHT - 2 * PADDING), 1),
            )
            for index, value in enumerate(self.values)
            if value is not None
        ]

    def svg(self) -> SafeString:
        """The line with its last point marked; a dash where there is nothing to draw."""
        if not self.known():
            return format_html('<span class="chk-muted" title="{}">none</span>', self.label())
        points = self.points()
        line = " ".join(f"{x},{y}" for x, y in points)
        x, y = points[-1]
        return format_html(
            '<svg class="chk-spark" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">'
            '<polyline points="{}"/><circle cx="{}" cy="{}" r="2.25"/></svg>',
            *(WIDTH, HEIGHT, WIDTH, HEIGHT, self.label(), line, x, y),
        )
