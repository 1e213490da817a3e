"""The times of the daily run."""

from datetime import datetime
from zoneinfo import ZoneInfo

from notifications.models import Configuration
from notifications.services import daily_times


def local_run_times(configuration: Configuration, after: datetime, count: int = 3) -> list[datetime]:
    """The next times of the daily run, in its own zone."""
    zone = ZoneInfo(configuration.run_zone)
    found = daily_times(configuration.run_time, configuration.run_zone, after, count)
    return [moment.astimezone(zone) for moment in found]
