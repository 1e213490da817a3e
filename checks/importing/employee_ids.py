"""Placeholders in the column of employee ids, which identify nobody. Pure."""

import re

from checks.folding import folded
from checks.importing.placeholders import NO_ENTRY, UNKNOWN, fold, leftover_advice

# All zeros, one digit repeated, and a number that a spreadsheet has rounded.
# Zeros behind a prefix too: EMP000000, E-000.
_ZEROS = re.compile(r"[a-z]{0,4}0+")
_REPEATED = re.compile(r"(.)\1{5,}|([a-z])\2{2,}|9{4,}")
# -1, and days with which spreadsheets and databases stand for no value.
_SENTINEL = re.compile(
    r"-\d+|1900-01-0[01].*|0?1/0?1/(?:1900|1970|0001).*|12/31/9999.*|31[./]12[./]9999.*"
    r"|9999-12-31.*|1970-01-01.*|0001-01-01.*"
)
# Several words without a number, and a kind of worker with a company: Contractor-ACME.
_PHRASE = re.compile(
    r"[^\d]+\s[^\d]+"
    r"|(?:contractor|contract|consultant|external|extern|vendor|supplier|partner|agency|temp|freelancer|intern)[\s_./:-]+[^\d]+",
    re.I,
)
_MARKED = re.compile(r"""="([^"]*)"|'(\d+)""")
ROUNDED = re.compile(r"[+-]?\d(?:[.,]\d+)?E\+?\d+", re.I)
_LARGEST = frozenset(("2147483647", "4294967295", "9223372036854775807", "0x0", "0x00000000"))
_COUNTED = frozenset(("123456789", "1234567890", "12345678", "0123456789", "987654321"))


def _words(line: str) -> frozenset[str]:
    return frozenset(fold(word) for word in line.split("|"))


_WORDS = _words(
    "tba|tbc|to be determined|to be assigned|to be confirmed|to follow|not assigned|not yet assigned|unassigned|pending|"
    "contractor|contractors|contract|consultant|consultants|external|externals|extern|vendor|vendors|partner|supplier|"
    "temp|temporary|temp worker|agency|freelancer|freelance|intern|interns|trainee|apprentice|student|volunteer|"
    "guest|visitor|service|service account|serviceaccount|svc|system|shared|shared mailbox|generic|robot|bot|"
    "new|new hire|newhire|new starter|starter|employee|employee id|employeeid|id|number|no id|noid|no employee id|"
    "missing|blank|empty|void|x|xx|xxx|xxxx|xxxxx|xxxxxx|test|dummy|sample|example|placeholder|default|other|others|"
    "internal|active|yes|true|na|n a|ne|kein|keine|ohne|aucun|ninguno|nessuno|null value|not known|not provided|"
    "not found|not entered|no value|novalue|value|lookup|does not apply|exempt|board|board member|admin|administrator|"
    "cw|cwr|cwk|ext|unk|emp|ceo|same|ditto|nonemployee|nonemp|contingent|contingent worker|subcontractor|third party|"
    "leaver|left|former|former employee|terminated|deleted|retired|retiree|select|choose|loading|in progress|onboarding|"
    "ka|nv|nd|sn|sans|sin|sin asignar|non assigné|nicht vergeben|nicht zugewiesen|unbekannt|inconnu|desconocido|sconosciuto|"
    "fremdfirma|dienstleister|praktikant|stagiaire|prestataire|externe|externo|esterno|offen|folgt|vacant|open|tbh|"
    "entfällt|zeitarbeit|leiharbeit|leiharbeiter|ausstehend|keine angabe|pendiente|pendente|en attente|intérimaire|"
    "proveedor|terceiro|tercero|fornitore|inhuur|inhuurkracht|nvt|saknas|nieznany|неизвестно|n/d|s/d|未定|該当なし|不明|"
    "未知|待定|不适用|미정|해당 없음|unset|nn|awaiting|awaiting id|hr|pending hr|staff|user|nobody|worker|person|noempid|"
    "no emp id|wahr|falsch|vrai|faux|verdadero|falso"
)


# Also behind a label or before a number: EMP-TBD, unknown1.
_UNASSIGNED = _words(
    "tbd|tba|tbc|pending|unknown|unk|none|null|nan|undefined|missing|unassigned|not assigned|not available|"
    "test|dummy|sample|placeholder"
)
_LABELLED = re.compile(r"(?:emp|employee|id|hr|staff|worker|person)*(?P<word>[^\W\d_]+?)\d{0,3}")
_NOBODY = _WORDS | _COUNTED | NO_ENTRY | UNKNOWN
# Endings of placeholders that consist of letters only.
_ARTEFACTS = ("collection", "property", "array")


def _without_text_mark(text: str) -> str:
    """The text without the marks by which an export keeps a spreadsheet from reading it as a number: ``="001001"`` and
    ``'001001``."""
    marked = _MARKED.fullmatch(text) if text.startswith(("=", "'")) else None
    return (marked[1] or marked[2] or "").strip() if marked else text


def reference_key(text: str) -> str:
    """The form in which employee ids, and references to users by one, are compared."""
    key = folded(_without_text_mark(text))
    # A spreadsheet or pandas has made a number of the id.
    return key[:-2] if key.endswith(".0") and key[:-2].isdigit() else key


def employee_key(text: str) -> str:
    """:func:`reference_key` of an employee id, stripped; "" for one that identifies nobody."""
    return "" if is_placeholder(_without_text_mark(text)) else reference_key(text)


def is_placeholder(text: str) -> bool:
    """Whether an employee id, stripped, identifies nobody: ``00000000``, ``TBD``, ``nan``, ``1.23457E+11``."""
    # Nearly every id consists of letters and digits and occurs once in a file: a cache would never hit.
    if text.isascii() and text.isalnum():
        word = text.lower()
        is_artefact = word.endswith(_ARTEFACTS) and bool(leftover_advice(text))
    else:
        word = fold(text)
        # No number has several words: see HR, Contractor - ACME.
        is_artefact = bool(leftover_advice(text) or _SENTINEL.fullmatch(text) or _PHRASE.fullmatch(text))
    return (
        not word
        or word in _NOBODY
        or is_artefact
        or word in _LARGEST
        or ((labelled := _LABELLED.fullmatch(word)) and labelled["word"] in _UNASSIGNED)
        or (len(word) == 1 and word.isalpha())
        or bool(_ZEROS.fullmatch(word) or _REPEATED.fullmatch(word) or ROUNDED.fullmatch(text))
    )
