"""A JSON document whose records are in a list inside an object: {"value": […]}, {"Resources": […]}, {"data": {"users": […]}}.

Which list holds the records is decided by its name, or by its holding objects.
"""

from collections.abc import Iterator

# Graph, SCIM, Google, Workday, Okta's and Duo's wrappers, OData and others; compared in lower case.
RECORD_LISTS = frozenset(
    [
        "value",
        "values",
        "resources",
        "users",
        "user",
        "report_entry",
        "data",
        "results",
        "result",
        "items",
        "records",
        "response",
        "members",
        "employees",
        "people",
        "workers",
        "entries",
        "accounts",
        "rows",
        "content",
        "elements",
        "list",
        "person",
        "identities",
    ]
)
# Lists of objects that describe one record, or the answer itself.
_OTHER_LISTS = frozenset(
    [
        "mfa_factors",
        "factors",
        "applications",
        "groups",
        "emails",
        "phones",
        "phonenumbers",
        "roles",
        "addresses",
        "organizations",
        "externalids",
        "errors",
        "warnings",
        "links",
        "_links",
        "schemas",
        "columns",
        "fields",
        "headers",
        "metadata",
        "admin_roles",
        "forwarding",
        "proxyaddresses",
        "assignedlicenses",
    ]
)
MAX_ENVELOPE_DEPTH = 3


def holds_records(key: str, *, of_objects: bool) -> bool:
    """Whether a list of this name inside an object holds the records."""
    name = key.casefold()
    return name in RECORD_LISTS or (of_objects and name not in _OTHER_LISTS)


def is_envelope(start: str) -> bool:
    """Whether a text that starts with ``{`` is one object with a list of records, rather than JSON Lines.

    ``start``: the start of the file; it may end anywhere.
    """
    found = False
    depth = 0
    for mark, key, follows, rest in _marks(start):
        if mark in "{[":
            depth += 1
            if mark == "[" and 1 < depth <= MAX_ENVELOPE_DEPTH + 1:
                found = found or holds_records(key, of_objects=follows == "{")
        else:
            depth -= 1
            if depth == 0:
                # A second object makes it JSON Lines.
                return found and not rest.lstrip().startswith("{")
    return found or "\n" in start.strip()[:3]


def _marks(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Each bracket outside strings: (bracket, the key before it, the next character that is not blank, the rest)."""
    key, position, length = "", 0, len(text)
    while position < length:
        character = text[position]
        if character == '"':
            end = position + 1
            while end < length and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            if text[end + 1 :].lstrip()[:1] == ":":
                key = text[position + 1 : end]
            position = end + 1
            continue
        position += 1
        if character in "{}[]":
            rest = text[position:]
            yield character, key, rest.lstrip()[:1], rest
            if character == "[":
                key = ""
