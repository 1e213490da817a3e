"""One message for one person about several findings: a section a check, the worst first. Pure.

A single new finding has the check's own message instead.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from checks.models import severity_rank
from checks.services import AudienceText
from integrations.services import (
    ENGLISH,
    FormattedText,
    MessageText,
    Paragraph,
    TextSpan,
    Translator,
    as_part,
    blocks_of,
    inert,
    parse_markdown,
    shortened,
    translator_for,
)

Role = Literal["user", "manager"]
Stage = Literal["new", "reminder", "resolved"]
# Accounts that a section names at most; the others are counted.
MOST_LOGINS = 10
# Bound for all sections together, within the limit of a mail; a kind with a lower limit shortens each section
# again (summary.py).
MOST_CHARACTERS = 50_000
LEAST_CHARACTERS = 150
_ENGLISH = translator_for(ENGLISH)


@dataclass(frozen=True, slots=True)
class FindingText:
    """One finding in a message to the user or to the user's manager.

    ``texts`` are the check's for this role (audience_texts.py), in the reader's language; ``custom`` is the check's
    customised message, if there is one, and replaces them. ``name`` is the user's; ``due_date`` and ``facts`` are in
    the reader's words.
    """

    role: Role
    stage: Stage
    title: str
    severity: str
    login: str
    texts: AudienceText
    custom: str = ""
    name: str = ""
    due_date: str = ""
    instructions_url: str = ""
    facts: Sequence[str] = ()

    @property
    def subject(self) -> str:
        return self.texts.subject or self.title

    @property
    def who(self) -> str:
        return f"{self.name} ({self.login})" if self.name and self.name != self.login else self.login


@dataclass(frozen=True, slots=True)
class CombinedText:
    title: str
    body: MessageText
    severity: str  # the highest of the findings


INTRODUCTIONS: dict[tuple[Stage, Role], str] = {
    ("new", "user"): "Please look at this on your account {login}:",
    ("new", "manager"): "Please look at this for people in your team:",
    ("reminder", "user"): "This is still open on your account {login}, as we wrote before:",
    ("reminder", "manager"): "This is still open for people in your team, as we wrote before:",
    ("resolved", "user"): "This is no longer open on your account {login}:",
    ("resolved", "manager"): "This is no longer open for people in your team:",
}


def combine(
    name: str, findings: Sequence[FindingText], *, translate: Translator = _ENGLISH, signature: str = ""
) -> CombinedText:
    """The text about at least one finding, in one role or both; ``name`` is the recipient's.

    Each check has its section: a long one is shortened, not left out. Each section is a part of the message, so
    that a kind can shorten them alike. Text that all sections share is written once, at the end.
    """
    blocks = list(_paragraph(translate("Hello {name},", name=name)))
    groups = {
        place: [finding for finding in findings if (finding.stage, finding.role) == place]
        for place in INTRODUCTIONS
    }
    shared = _shared_lines(findings, translate)
    sections = {place: list(_sections(group, translate, shared)) for place, group in groups.items() if group}
    most = max(LEAST_CHARACTERS, MOST_CHARACTERS // sum(map(len, sections.values())))
    for place, texts in sections.items():
        blocks += as_part(_paragraph(translate(INTRODUCTIONS[place], login=groups[place][0].login)))
        blocks += [block for text in texts for block in as_part(shortened(text, most), is_section=True)]
    blocks += as_part(parse_markdown("\n\n".join([*shared, signature])))
    severity = min((finding.severity for finding in findings), key=severity_rank)
    return CombinedText(_title(findings, translate), MessageText(tuple(blocks)), severity)


def _paragraph(text: str) -> FormattedText:
    return (Paragraph(((TextSpan(text),),)),)


def _title(findings: Sequence[FindingText], translate: Translator) -> str:
    """The subject: the name of the check if there is one, else the number of checks."""
    subjects = list(dict.fromkeys(finding.subject for finding in findings))
    about = (
        subjects[0]
        if len(subjects) == 1
        else translate.plural("{count} thing to look at", "{count} things to look at", len(subjects))
    )
    if all(finding.role == "user" for finding in findings):
        title = translate("Your account: {subject}", subject=about)
    elif len({finding.who for finding in findings}) == 1 and all(
        finding.role == "manager" for finding in findings
    ):
        title = translate("{name}: {subject}", name=findings[0].name or findings[0].login, subject=about)
    else:
        title = translate("Your team: {subject}", subject=about)
    stages = {finding.stage for finding in findings}
    if stages == {"resolved"}:
        return translate("Resolved: {title}", title=title)
    return translate("Reminder: {title}", title=title) if "new" not in stages else title


def _sections(
    findings: Sequence[FindingText], translate: Translator, shared: Sequence[str]
) -> Iterator[FormattedText]:
    """A section a check, the worst first, and one for each customised message among the first ``MOST_LOGINS``."""
    ordered = sorted(
        findings,
        key=lambda finding: (severity_rank(finding.severity), finding.title, finding.who.casefold()),
    )
    for _, group in groupby(ordered, key=lambda finding: finding.title):
        of_check = list(group)
        custom = [finding for finding in of_check if finding.custom and finding.stage != "resolved"]
        named = custom[:MOST_LOGINS]
        yield from (_custom_section(finding) for finding in named)
        if rest := [finding for finding in of_check if finding not in named]:
            yield parse_markdown(_section(rest, translate, shared))


def _custom_section(finding: FindingText) -> FormattedText:
    """The heading, and the customised message directly below it."""
    first, *others = blocks_of(finding.custom) or _paragraph("")
    heading = Paragraph(((TextSpan(f"{_heading(finding)}:", bold=True),),))
    return (heading, replace(first, is_apart=False), *others)


def _section(findings: Sequence[FindingText], translate: Translator, shared: Sequence[str]) -> str:
    """The section in Markdown."""
    first, texts = findings[0], findings[0].texts
    if first.stage == "resolved":
        return _named(inert(_heading(first)), findings, translate)
    found = texts.found.rstrip(".") if first.role == "manager" else texts.found
    lines = [_named(f"**{found}**", findings, translate)]
    # Of several accounts nobody could tell whose they are.
    lines += [inert(fact) for fact in first.facts if len(findings) == 1]
    lines += [f"- {action}" for action in texts.actions]
    lines += [line for line in _closing_lines(first, translate) if line not in shared]
    return "\n".join(lines)


def _heading(finding: FindingText) -> str:
    """The subject as a heading; a check without one has its title."""
    subject = finding.texts.subject
    return f"{subject[:1].upper()}{subject[1:]}" if subject else finding.title


def _closing_lines(finding: FindingText, translate: Translator) -> list[str]:
    """The lines for instructions, due date and contact."""
    texts = finding.texts
    lines = []
    if finding.instructions_url:
        lines.append(translate("How to do it: {url}", url=finding.instructions_url))
    if finding.stage == "new" and finding.role == "user" and finding.due_date:
        lines.append(translate("Please do this by {date}.", date=finding.due_date))
    if texts.contact:
        lines.append(translate("If you have questions, ask {contact}.", contact=texts.contact))
    return lines


def _shared_lines(findings: Sequence[FindingText], translate: Translator) -> list[str]:
    """The closing lines that are the same for all findings that are open, if there are several."""
    opened = [finding for finding in findings if finding.stage != "resolved" and not finding.custom]
    if len({finding.title for finding in opened}) < 2:
        return []
    first, *others = ([*_closing_lines(finding, translate)] for finding in opened)
    return [line for line in first if all(line in lines for lines in others)]


def _named(head: str, findings: Sequence[FindingText], translate: Translator) -> str:
    """A manager reads which accounts it is about; a user has one."""
    if findings[0].role == "user":
        return head
    names = ", ".join(inert(finding.who) for finding in findings[:MOST_LOGINS])
    if len(findings) > MOST_LOGINS:
        rest = len(findings) - MOST_LOGINS
        names = translate("{names} and {count} more", names=names, count=translate.number(rest))
    return f"{head}: {names}"
