"""The fields that the forms of all sources of files have: how the file is read."""

from zoneinfo import ZoneInfo

from integrations.json_types import JsonMapping
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field

READING_FIELDS = (
    Field(
        path="format",
        label="Format",
        widget="select",
        choices=(
            ("auto", "By name and content"),
            ("csv", "CSV"),
            ("json", "JSON: a list, or an object with one"),
            ("jsonl", "JSON Lines"),
        ),
        default="auto",
    ),
    Field(
        path="columns",
        label="Columns",
        help="One a line, field=column of the file, such as login=Work Email. The columns of known exports need none.",
        widget="lines",
        required=False,
        most=320,
        pattern=r"[a-z_]{1,40}=.{1,255}",
        hint="Write field=column, such as login=Work Email.",
    ),
    Field(
        path="words",
        label="Words",
        help="One a line, field:word=meaning, such as status:Parental Leave=on_leave.",
        widget="lines",
        required=False,
        most=400,
        pattern=r"[a-z_]{1,40}:.{1,255}=[A-Za-z_]{1,40}",
        hint="Write field:word=meaning, such as status:Parental Leave=on_leave.",
    ),
    Field(
        path="dates",
        label="Order in dates",
        help="Of dates such as 1/2/2026, which are not read without it.",
        widget="select",
        choices=(
            ("none", "Not set"),
            ("ymd", "Year, month, day"),
            ("dmy", "Day, month, year"),
            ("mdy", "Month, day, year"),
        ),
        default="none",
    ),
    Field(
        path="zone",
        label="Time zone",
        help="Of times without an offset, such as Europe/Berlin. Empty: UTC.",
        required=False,
        most=64,
    ),
)


def check_zone(reader: DocumentReader, settings: JsonMapping) -> None:
    """Report a time zone that the IANA database does not have."""
    zone = settings.get("zone")
    try:
        if zone:
            ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        reader.add_error("zone", "Write a name of the IANA database, such as Europe/Berlin.")
