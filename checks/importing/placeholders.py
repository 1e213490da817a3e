"""Words and leftovers in a cell that has no value. Pure.

Two kinds. A *word for nothing* (``none``, ``N/A``, ``[]``) means that there is no value. A *leftover of a
broken export* (``System.Object[]``, ``#REF!``) means nothing: the export lost the value.
"""

import re
from collections.abc import Set
from functools import lru_cache

# No word for nothing is longer.
LONGEST_WORD = 40
_NOISE = re.compile(r"[\W_]+")
# Characters that no one sees: zero-width, soft hyphen, byte order mark, marks of the writing direction. The first
# two groups join letters in some scripts (Persian, emoji) and stay in names.
_JOINERS = "\u200c\u200d"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
)
_IN_NAMES = re.compile(f"[{_INVISIBLE}]")
_IN_IDENTIFIERS = re.compile(f"[{_INVISIBLE}{_JOINERS}]")


@lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """``PASSWORD_EXPIRED``, ``Password expired`` and ``passwordExpired`` are one spelling."""
    return _NOISE.sub("", text).casefold()


def without_invisible(text: str, *, keep_joiners: bool = False) -> str:
    """The text without characters that nobody sees; ``keep_joiners`` keeps those that scripts need."""
    return (_IN_NAMES if keep_joiners else _IN_IDENTIFIERS).sub("", text)


def _words(line: str) -> frozenset[str]:
    return frozenset(fold(word) for word in line.split("|"))


# In a list: no entry. "" is every text without a letter or digit: -, --, [], {}, (), …
NO_ENTRY = _words(
    "|none|n/a|na|null|nil|empty|nothing|0|false|no|off|disabled|not enabled|not enrolled|not registered|not configured"
    "|not set|not set up|not setup|not activated|no factors|no factor|no factors enrolled|no mfa|no methods|no method"
    "|no methods registered|no authentication methods|none registered|none enrolled|none configured|not capable|not applicable"
    "|no devices|no device|no mfa device|no roles|no role|no groups|no group|no applications|no apps|no forwarding|not forwarded"
    "|not assigned|unassigned|none assigned|dbnull|nonetype|not_supported|no_information|not used|inactive|zero|never"
    "|unenrolled|not protected|2sv not enrolled|2sv off|without mfa|no 2fa|no 2sv|not active|no active factors"
    "|blank|n|nothing enrolled|nothing registered|0 factors|0 methods|0 devices|no factors registered|no methods enrolled"
    "|no registered methods|no enrolled factors|mfa not enabled|mfa disabled|mfa off|mfa not registered|mfa not enrolled"
    "|no roles assigned|no role assigned|no admin|no admin role|no admin roles|not an admin|no groups assigned|no membership"
    "|no administrator role|no administrator roles|not an administrator|no privileged roles|none registered yet|none yet"
    # As portals and spreadsheets write in other languages.
    "|kein|keine|keiner|keines|nein|falsch|nicht registriert|nicht aktiviert|nicht konfiguriert|nicht zugewiesen|deaktiviert"
    "|keine mfa|keine rolle|keine rollen|keine gruppen|nichts|aucun|aucune|non|faux|désactivé|désactivée|non configuré"
    "|non enregistré|non activé|aucun rôle|aucun groupe|ninguno|ninguna|falso|desactivado|no configurado|no registrado|sin roles"
    "|nessuno|nessuna|disattivato|non configurato|non registrato|nessun ruolo|nenhum|nenhuma|não|desativado|não configurado"
    "|geen|nee|onwaar|uitgeschakeld|niet geregistreerd|niet ingesteld|ingen|inga|inget|nej|falskt|nei|usann|brak|żaden|nie"
    "|нет|отключено|не настроено|なし|無し|無|無効|未登録|未設定|いいえ|无|無い|否|未注册|未启用|已禁用|暂无|없음|사용 안 함|아니요"
)
# In any field: the source cannot say.
UNKNOWN = _words(
    "unknown|undefined|nan|nat|not available|unavailable|not specified|unspecified|not recorded|not known|not determined"
    "|not retrieved|not collected|no data|no permission|access denied|not licensed|error|unable to determine"
    "|insufficient permissions|permission denied|forbidden|unauthorized|not authorized|timeout|timed out|failed|redacted|tbd"
)
# In a manager or owner: nobody, beside the words of NO_TEXT.
NOBODY = _words(
    "no manager|no owner|no supervisor|unassigned|not assigned|none assigned|unmanaged|no manager assigned"
    "|no owner assigned|manager not assigned|vacant"
)
# In a text that is not a name: nothing. "NA" may be North America, "0" a code.
NO_TEXT = frozenset(
    {
        *(
            "n/a",
            "none",
            "null",
            "nil",
            "-",
            "--",
            "---",
            "\N{EN DASH}",
            "\N{EM DASH}",
            "[]",
            "{}",
            "()",
            '""',
            "''",
        ),
        *(
            "(none)",
            "<none>",
            "(null)",
            "<null>",
            "[null]",
            "<nil>",
            "(empty)",
            "<empty>",
            "(blank)",
            "nan",
            "undefined",
        ),
        *(
            "not available",
            "not applicable",
            "not set",
            "<not set>",
            "(not set)",
            "not specified",
            "unspecified",
            "tbd",
            ".",
        ),
    }
)

# A text without one of these characters, and without a capital word of PHP, is no leftover.
_MARKS = re.compile(r"[\[\].#{}<>$@()%\N{HORIZONTAL ELLIPSIS}]|Err:")


def may_hold_leftover(text: str) -> bool:
    """Whether a record may hold a leftover; ``text``: its repr. With it, nearly no record needs a look at
    each value."""
    # One expression of plain searches: half the time of a loop over them.
    return (
        "#" in text
        or "System." in text
        or "Microsoft." in text
        or "Collection" in text
        or "Deserialized." in text
        or "[]'" in text
        or "@{" in text
        or "'{" in text
        or "${" in text
        or "..." in text
        or "…" in text
        or "\\u2026" in text
        or "object" in text
        or "Err:" in text
        or "%!" in text
        or "Array" in text
        or "'<" in text
        or '"<' in text
        or "java" in text
        or "'[" in text
        or "`" in text
        or "'=" in text
        or "Property" in text
    )


_POWERSHELL = re.compile(
    r"(?:Selected\.|Deserialized\.)?(?:"
    r"System(?:\.[A-Z]\w*){2,}|System\.(?:Object|String|Collections|Management|Guid|Byte|Int32|DateTime|DirectoryServices|__ComObject|Data|Boolean|Array)"
    r"|Microsoft\.(?:ActiveDirectory|Graph\.(?:PowerShell|Beta)|Open|Exchange|Online|Azure\.Commands|PowerShell)\.)[\w.`+\[\],<> =-]*"
    r"|(?:\w+\.)*\w*(?:PropertyValueCollection|PropertyCollection|MultiValuedProperty(?:`1\[.*\])?)"
    r"|(?:Object|String|Byte|PSObject|Hashtable)\[\]|(?:\w+\.)+\w+\[\]|(?:\w+\.)*(?:List|Dictionary|Collection|HashSet)`\d\[.*"
    r"|@\{.*|\{.*(?:\.\.\.|\N{HORIZONTAL ELLIPSIS})\}?|.*(?:\.\.\.|\N{HORIZONTAL ELLIPSIS})\}.*",
    re.I | re.S,
)
# Excel's errors in its languages (Spanish: #¡REF!), LibreOffice's Err:502.
_SPREADSHEET = re.compile(
    r"=[A-Z][A-Z.]*\(.*\)|=\$?[A-Z]{1,3}\$?\d{1,7}(?::\$?[A-Z]{1,3}\$?\d{1,7})?|#[\u00a1\u00bf]?(?:[^\W\d_]|[/0_])+[!?]|#N/A|#NV|#N/D|#NULL|#{3,}|#GETTING_DATA|Err:\d{3}",
    re.I,
)
_PROGRAM = re.compile(
    r"\[object \w+\](?:\s*[,;|]\s*\[object \w+\])*|\(object \w+\)|Array|%!\w\(.*\)|\[L?[\w.$]+;?@[0-9a-f]{4,}|(?:[\w$]+\.)+[\w$]+@[0-9a-f]{5,8}"
    r"|<[\w. ]*\bobject\b.* at 0x[0-9a-f]+>|<(?:generator|map|filter|function|class|QuerySet) .*>|#<\w.*>|\{\{.*\}\}|\$\{.*\}|<%.*%>",
    re.S,
)


@lru_cache(maxsize=4096)
def leftover_advice(text: str) -> str:
    """Advice for a correct export if ``text`` is the leftover of a broken one, else ""."""
    text = text.strip()
    if _POWERSHELL.fullmatch(text):
        return (
            "PowerShell wrote the type or a shortened form of a list instead of its values. Join the values before "
            "Export-Csv, for example @{n='Roles';e={$_.Roles -join ';'}}, and export again"
        )
    if _SPREADSHEET.fullmatch(text):
        return (
            "this is a spreadsheet's error value. Correct the formula or the column width, and export again"
        )
    if _PROGRAM.fullmatch(text):
        return "a program wrote an object instead of its values. Write the values separated by ';', and export again"
    return ""


_BETWEEN_WORDS = re.compile(r"[\s+&]+")
# No phrase for nothing has more words.
_MOST_WORDS = 5


_NOTHING_OR_UNKNOWN = NO_ENTRY | UNKNOWN


def words_of(text: str) -> list[str]:
    """The words between blanks, ``+`` and ``&``, marks alone among them; "" at an end that is one of these."""
    return _BETWEEN_WORDS.split(text)


def is_made_of(phrases: Set[str], text: str) -> bool:
    """Whether the text is one of the folded phrases, or several of them one after the other: ``n/a 0 factors``."""
    words = words_of(text)
    if len(words) == 1:
        return fold(text) in phrases
    ends = {0}
    for end in range(1, len(words) + 1):
        if any(
            begin in ends and fold(" ".join(words[begin:end])) in phrases
            for begin in range(max(0, end - _MOST_WORDS), end)
        ):
            ends.add(end)
    return len(words) in ends


_FROM_ONE = frozenset("123456789")


@lru_cache(maxsize=4096)
def is_no_entry(text: str) -> bool:
    """Whether a list's text, or an item of it, says that there is none; ``none none`` says so twice."""
    # None of the words ends so, and most names of devices do.
    if text[-1:] in _FROM_ONE:
        return False
    return fold(text) in NO_ENTRY or is_made_of(NO_ENTRY, text)


# Marks alone that stand for a value: a question mark, a tick, a masked text.
_MASKED = re.compile(
    r"[?\N{FULLWIDTH QUESTION MARK}\N{CHECK MARK}\N{HEAVY CHECK MARK}\N{BALLOT BOX WITH CHECK}\N{WHITE HEAVY CHECK MARK}\N{BULLET}]|\*\*"
)


@lru_cache(maxsize=4096)
def is_unknown_word(text: str) -> bool:
    """Whether the source says that it cannot say; a question mark, a tick and ``***`` say so too, as does
    ``none unknown``."""
    word = fold(text)
    if word in UNKNOWN or (not word and _MASKED.search(text)):
        return True
    return is_made_of(_NOTHING_OR_UNKNOWN, text) and not is_no_entry(text)


def may_be_leftover(text: str) -> bool:
    """Whether a value is worth the look of :func:`leftover_advice`."""
    return (
        text == "Array"
        or text[:1] == "="
        or bool(_MARKS.search(text))
        or text.endswith(("Collection", "Property"))
    )


def may_be_placeholder(text: str) -> bool:
    """Whether a text is worth a look into the words for nothing and for unknown."""
    return len(text) <= LONGEST_WORD and ":" not in text and "|" not in text


def is_no_text(text: str) -> bool:
    """Whether the value of a text field that is not a name says that there is none."""
    return len(text) < 16 and text.casefold() in NO_TEXT
