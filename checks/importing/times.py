"""Times as sources write them: ISO 8601 and the other unambiguous forms, sentinels, and dates in a named order. Pure.

A date such as ``1/2/2026`` or ``13.02.2026`` is read only in an order that was set: a file can hold one value
that decides the order and ten that do not, and a guess would be wrong for whole files.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from checks.importing.placeholders import fold, is_unknown_word
from checks.importing.rules import ReadingRules, Refused

EXPECTED = "an ISO 8601 date or time, such as 2026-01-31 or 2026-01-31T08:30:00Z"
EPOCH = f"{EXPECTED}; it looks like seconds or milliseconds since 1970"
AMBIGUOUS = f"{EXPECTED}. Day and month of this form are ambiguous: name the order of the file's dates (mdy, dmy or ymd)"
NOT_IN_ORDER = "a date in the order {order} that was named for this source, or " + EXPECTED
# Windows FILETIME and AD: never, or does not expire.
FILETIME_NEVER = 9_223_372_036_854_775_807
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
# Everything up to here is a zero of some epoch, perhaps in local time: year 1, 1601 (FILETIME), 1899 and 1900 (OLE,
# SQL Server), 1970 (Unix). No directory is so old.
SENTINELS_UNTIL = "1970-01-02 00:00:00"
# From here on it is a sentinel for "does not expire": 9999-12-31, 2999-12-31.
SENTINELS_FROM = "2900-01-01 00:00:00"
LAST_MOMENT = "9999-12-31 23:59:59"
LONGEST = 100
FUTURE_ALLOWED = timedelta(days=1)

NEVER = frozenset(
    fold(word)
    for word in [
        "never",
        "never logged in",
        "never active",
        "never signed in",
        "never used",
        "never logged on",
        "never accessed",
        "never authenticated",
        "has never logged in",
        "has never signed in",
        "never connected",
        "never seen",
        "never login",
        "never logon",
        "never sign in",
        "never signed on",
        "not logged in",
        "not signed in",
        "not yet",
        "not yet logged in",
        "not used",
        "not active",
        "no login",
        "no logins",
        "no logon",
        "no sign in",
        "no sign ins",
        "no signin",
        "no activity",
        "no sign in activity",
        "no_information",
        "none",
        "null",
        "nil",
        "0",
        "false",
        "no",
        "empty",
        "dbnull",
        "user has never logged in",
        "hasn't logged in",
        "has not logged in",
        "no record of login",
        "no last login",
        "not logged on",
        "not yet signed in",
        "not accessed",
        "no sign ins recorded",
        "no logins recorded",
        "no logon recorded",
        # Admin consoles write in the language of their reader.
        *("nie", "niemals", "noch nie", "nie angemeldet", "noch nie angemeldet", "jamais", "jamais connecté"),
        *("ne s'est jamais connecté", "nunca", "nunca ha iniciado sesión", "nunca acedeu", "nunca acessou"),
        *(
            "nunca fez login",
            "mai",
            "mai effettuato l'accesso",
            "nooit",
            "nooit aangemeld",
            "nog nooit",
            "aldrig",
        ),
        *("aldri", "nigdy", "nikdy", "никогда", "ніколи", "ποτέ", "soha", "niciodată", "hiç", "ei koskaan"),
        *("从未", "从不", "從未", "從不", "一度もない", "なし", "未ログイン", "없음", "안 함"),
        *("not logged in yet", "not signed in yet", "user never logged in", "user never signed in"),
        *(
            "hasn't signed in",
            "has not signed in",
            "user has never signed in",
            "user has not logged in",
            "no sign in yet",
        ),
        *(
            "hasn't logged in yet",
            "has not logged in yet",
            "hasn't signed in yet",
            "has not signed in yet",
            "no login yet",
        ),
        *(
            "hat sich noch nie angemeldet",
            "hat sich nie angemeldet",
            "nicht angemeldet",
            "noch nicht angemeldet",
        ),
        *("keine anmeldung", "keine anmeldungen", "keine aktivität", "nie verwendet", "nie aktiv"),
        *(
            "jamais connectée",
            "jamais utilisé",
            "aucune connexion",
            "pas de connexion",
            "pas encore connecté",
        ),
        *(
            "nunca se ha conectado",
            "nunca inició sesión",
            "nunca ha accedido",
            "sin acceso",
            "sin inicio de sesión",
        ),
        *("nunca se conectou", "nunca acessado", "nunca iniciou sessão", "sem acesso"),
        *("nessun accesso", "mai connesso", "mai collegato", "mai effettuato"),
        *("nooit ingelogd", "nog niet aangemeld", "niet aangemeld", "geen aanmelding"),
        *(
            "aldrig inloggad",
            "aldrig loggat in",
            "har aldrig loggat in",
            "aldri logget inn",
            "aldrig logget ind",
        ),
        *(
            "nigdy się nie zalogował",
            "nigdy nie zalogowano",
            "никогда не входил",
            "никогда не входила",
            "нет входов",
        ),
        *("从未登录", "尚未登录", "未登录", "從未登入", "尚未登入", "未登入"),
        *("一度もログインしていません", "ログインなし", "ログイン履歴なし", "サインインなし", "未サインイン"),
        *("로그인 기록 없음", "로그인한 적 없음", "로그인 안 함"),
    ]
)
# AWS: N/A is "no such credential", not_supported is the root account's password.
NO_TIME = frozenset(fold(word) for word in ["n/a", "not_supported", "not applicable"])

_NEVER_FIRST = re.compile(r"\W*never\b(?=[\s(,;:-])", re.I)

_MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "jan january",
            "feb february",
            "mar march",
            "apr april",
            "may",
            "jun june",
            "jul july",
            "aug august",
            "sep sept september",
            "oct october",
            "nov november",
            "dec december",
        ],
        1,
    )
    for name in names.split()
}
_CLOCK = (
    r"(?:(?:T|,?\s(?:at\s)?|,)(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[ap]\.?\s?m\.?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|(?:(?:UTC|GMT)?\s?[+-]\d{1,2}:?(?:\d{2})?))?(?:\s*\([^()]{1,60}\))?"
)
_YEAR_FIRST = re.compile(
    rf"(?P<year>\d{{4}})(?P<sep>[-/.])(?P<month>\d{{1,2}})(?P=sep)(?P<day>\d{{1,2}}){_CLOCK}", re.I
)
_DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_DAY_MONTH = re.compile(
    rf"{_DAY_NAME}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-\s/.]+(?P<name>[a-z]{{3,9}})\.?,?[-\s/.]+(?P<year>\d{{4}}){_CLOCK}",
    re.I,
)
_MONTH_DAY = re.compile(
    rf"{_DAY_NAME}(?P<name>[a-z]{{3,9}})\.?[-\s]+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?[-\s]+(?P<year>\d{{4}}){_CLOCK}",
    re.I,
)
# date(1), JavaScript's and Java's toString: Mon Nov 02 15:04:05 UTC 2026.
_UNIX = re.compile(
    r"(?:mon|tue|wed|thu|fri|sat|sun)\s+(?P<name>[a-z]{3})\s+(?P<day>\d{1,2})\s+(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})"
    r"\s+(?P<zone>UTC|GMT|Z|[+-]\d{4})?\s*(?P<year>\d{4})",
    re.I,
)
_ISO_DATE = re.compile(r"(?:\d{8}|\d{4}-\d\d-\d\d)(?![^T ])|\d{4}-?W", re.I)
# LDAP generalizedTime (RFC 4517, 3.3.13) as ldifde and csvde write it.
_GENERALIZED = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?P<hour>\d{2})(?:(?P<minute>\d{2})(?:(?P<second>\d{2})"
    r"(?:[.,](?P<fraction>\d{1,9}))?)?)?(?P<zone>Z|[+-]\d{2}(?:\d{2})?)?"
)
# ASP.NET and Windows PowerShell's ConvertTo-Json.
_DOT_NET = re.compile(r"\\?/Date\((-?\d{1,15})([+-]\d{4})?\)\\?/")
_NUMBERS = re.compile(
    rf"(?P<first>\d{{1,4}})(?P<sep>[-/.])\s?(?P<second_>\d{{1,2}})(?P=sep)\s?(?P<third>\d{{1,4}})\.?{_CLOCK}",
    re.I,
)
# MySQL's, SAP's 00.00.0000, and zeros in any order of day, month and year.
_ZERO_DATE = re.compile(
    r"0{1,4}([-./])\s?0{1,2}\1\s?0{1,4}(?:[T ,]+0{1,2}[:.]0{2}(?:[:.]0{2}(?:[.,]0+)?)?\s*(?:[AP]M|Z)?)?", re.I
)
# FILETIME's never as a spreadsheet rounds it, and a zero with decimals.
_ROUNDED_NEVER = re.compile(r"9[.,]22\d*E\+?18|9([,. ])223(?:\1\d{3}){5}|0+[.,]0+", re.I)
_SPACES = re.compile(r"\s+")
# 2026-01-31T08:30:00Z. The hour 24 is the next day, where Python accepts it.
_USUAL = re.compile(r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\dZ", re.ASCII)


class Moments:
    """Reads texts of times by one source's rules. ``read`` gives the stored form in UTC, or "" for a sentinel."""

    def __init__(self, rules: ReadingRules) -> None:
        self.order, self.zone = rules.dates, rules.time_zone
        # Days recur from record to record, moments hardly ever.
        self._day: Callable[[str], str] = lru_cache(maxsize=8192)(self._moment)

    def read(self, value: str) -> str:
        """``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC; "" where the value is a sentinel for no time.

        Raises :class:`Refused` for what is not a time.
        """
        if len(value) == 10:
            return self._day(value)
        # As most sources write: a valid one is stored unchanged.
        if _USUAL.fullmatch(value):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                return self._moment(value)
            stored = f"{value[:10]} {value[11:19]}"
            return "" if stored < SENTINELS_UNTIL else stored
        return self._moment(value)

    def _moment(self, value: str) -> str:
        text = value.strip()
        if text.isdigit() and (len(text) != 8 or not text.strip("0")):
            return self._number(text)
        try:
            moment = _from_iso(text)
        except ValueError:
            return self._other(text)
        # The day of a date alone does not depend on a time zone.
        return self._stored(moment, localize=len(text) > 10)

    def _stored(self, moment: datetime, *, localize: bool = True) -> str:
        if moment.tzinfo is UTC:
            text = moment.isoformat(" ")[: -len("+00:00")]
        elif moment.tzinfo is None and not (localize and self.zone):
            text = moment.isoformat(" ")
        else:
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.zone)
            try:
                text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
            except OverflowError:
                return LAST_MOMENT if moment.year > 1 else ""
        return "" if text < SENTINELS_UNTIL else text

    def _number(self, digits: str) -> str:
        """A number without a point: FILETIME, generalizedTime without a zone, or refused."""
        if not digits.isascii():
            raise Refused(EXPECTED)
        number = int(digits[:25])
        if number in (0, FILETIME_NEVER):
            return ""
        if len(digits) == 18:
            return self._stored(_FILETIME_EPOCH + timedelta(microseconds=number // 10))
        if len(digits) == 14 and (match := _GENERALIZED.fullmatch(digits)):
            try:
                return self._matched(match)
            except Refused:
                raise Refused(EPOCH) from None
        raise Refused(EPOCH)

    def _other(self, text: str) -> str:
        if len(text) > LONGEST:
            raise Refused(EXPECTED)
        if _ZERO_DATE.fullmatch(text) or _ROUNDED_NEVER.fullmatch(text):
            return ""
        text = _SPACES.sub(" ", text)
        if match := _DOT_NET.fullmatch(text):
            return self._stored(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(match[1])))
        for pattern in (_YEAR_FIRST, _GENERALIZED, _DAY_MONTH, _MONTH_DAY, _UNIX):
            if match := pattern.fullmatch(text):
                return self._matched(match)
        if match := _NUMBERS.fullmatch(text):
            return self._in_named_order(match)
        try:
            return self._stored(_from_iso(text.upper()))
        except ValueError:
            pass
        raise Refused(EPOCH if text.replace(".", "").lstrip("-").isdigit() else EXPECTED)

    def _matched(self, match: re.Match[str]) -> str:
        """The moment of a match with named groups."""
        parts = match.groupdict()
        name = parts.get("name")
        month = _MONTHS.get(name.casefold(), 0) if name else int(parts["month"])
        return self._made(int(parts["year"]), month, int(parts["day"]), parts, EXPECTED)

    def _in_named_order(self, match: re.Match[str]) -> str:
        order = self.order
        if not order:
            if (sentinel := _sentinel_in_any_order(match)) is not None:
                return sentinel
            raise Refused(AMBIGUOUS)
        numbers = dict(zip(order, (match["first"], match["second_"], match["third"]), strict=True))
        expected = NOT_IN_ORDER.format(order=order)
        if len(numbers["y"]) not in (2, 4) or max(len(numbers["m"]), len(numbers["d"])) > 2:
            raise Refused(expected)
        year = int(numbers["y"]) + (2000 if len(numbers["y"]) == 2 else 0)
        return self._made(year, int(numbers["m"]), int(numbers["d"]), match.groupdict(), expected)

    def _made(self, year: int, month: int, day: int, parts: dict[str, str | None], expected: str) -> str:
        hour = int(parts.get("hour") or 0)
        if half := parts.get("half"):
            if not 1 <= hour <= 12:
                raise Refused(expected)
            hour = hour % 12 + (12 if half[0] in "pP" else 0)
        fraction = int((parts.get("fraction") or "").ljust(6, "0")[:6])
        try:
            moment = datetime(  # noqa: DTZ001  the zone follows
                year, month, day, hour, int(parts.get("minute") or 0), int(parts.get("second") or 0), fraction
            )
            offset = _offset(parts.get("zone") or "")
            if offset is None:
                return self._stored(moment, localize=parts.get("hour") is not None)
            return self._stored((moment - offset).replace(tzinfo=UTC))
        except (ValueError, OverflowError):
            raise Refused(expected) from None


def _from_iso(text: str) -> datetime:
    """The moment of an ISO 8601 text. Raises ValueError. Python takes any character between date and time, and would read
    the generalizedTime 20261101101112Z as eleven minutes past one."""
    if not _ISO_DATE.match(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def _sentinel_in_any_order(match: re.Match[str]) -> str | None:
    """What ``1/1/0001 12:00:00 AM`` or ``12/31/9999`` stands for in each order of day and month; None for the rest."""
    if len(match["third"]) != 4:
        return None
    year, first, second = int(match["third"]), int(match["first"]), int(match["second_"])
    if not (1 <= first <= 31 and 1 <= second <= 31 and min(first, second) <= 12):
        return None
    if year < 1970 or (year == 1970 and first == second == 1):
        return ""
    return LAST_MOMENT if year >= int(SENTINELS_FROM[:4]) else None


def _offset(zone: str) -> timedelta | None:
    """The offset that a text such as ``UTC``, ``GMT+2`` or ``+02:00`` names; None without one."""
    zone = zone.upper().replace(" ", "")
    if not zone:
        return None
    zone = zone.removeprefix("UTC").removeprefix("GMT").removeprefix("Z")
    if not zone:
        return timedelta()
    digits = zone[1:].replace(":", "")
    hours, minutes = (digits, "0") if len(digits) <= 2 else (digits[:-2], digits[-2:])
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if zone[0] == "-" else offset


def is_never_word(word: str) -> bool:
    folded = fold(word)
    # "Never (invited)", "never been used"
    return folded in NEVER or bool(_NEVER_FIRST.match(word)) if folded else bool(word.strip())


def is_no_time_word(word: str) -> bool:
    """Whether the word says that the source has no such time: N/A, not_supported, unknown."""
    return is_unknown_word(word) or fold(word) in NO_TIME
