"""Users with different values in HR and at an identity provider."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from operator import and_, or_

from django import forms
from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings
from checks.models import Account, User

FIELDS = [("manager", "Manager"), ("department", "Department"), ("title", "Title")]


class HrMismatch(CatalogueCheck):
    slug = "hr-mismatch"
    title = "HR and Identity Provider Disagree"
    severity = "low"
    topics = ("HR", "Data quality")
    description = (
        "For these users HR and an identity provider give a different {{fields}}. Access that follows from "
        "department, title or manager then follows from the wrong one.",
    )
    recommended_actions = (
        "Correct the identity provider; HR is right, as a rule.",
        "After a change of job, review what access is left over from the last one.",
        "Provision these fields from HR instead of typing them twice.",
    )
    texts = AudienceTexts(
        subject="details that differ from those of HR",
        user=UserText(
            found="HR and our sign-in system have different details about you ({{fields}}).",
            why="Some of your access follows from these details, so one of them may give you too little or too much.",
            actions=(
                "Look at your details in both systems.",
                "Tell us which of them are right.",
            ),
            due_days=30,
            contact="the HR department",
            shows=("manager", "department", "title"),
        ),
        manager=ManagerText(
            found="HR and our sign-in system have different details about this person ({{fields}}).",
            actions=(
                "Tell us which department, title and manager are right.",
                "After a change of job, tell us which access is no longer needed.",
            ),
            shows=("manager", "department", "title"),
        ),
        list=ListText(found="HR and an identity provider disagree on these users ({{fields}})."),
    )
    frameworks = ("NIST-800-53:PS-5", "NIST-800-53:AC-2", "ISO-27001:A.5.16")
    fields = {
        "fields": forms.MultipleChoiceField(
            choices=FIELDS,
            initial=[name for name, _ in FIELDS],
            widget=forms.CheckboxSelectMultiple,
            label="Fields",
            help_text="What is compared; upper and lower case are the same.",
        ),
    }
    audience = Q(in_hr=True) | Q(hr_unknown=True)

    def fails(self, s: Settings, now: datetime) -> Q:
        return reduce(or_, (Q(**{f"hr_{name}_differs": True}) for name in s["fields"]))

    def unknown(self, s: Settings, now: datetime) -> Q:
        return reduce(and_, (Q(**{f"hr_{name}_differs__isnull": True}) for name in s["fields"]))

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        return {
            name: {
                account.source.name: getattr(account, name) for account in accounts if getattr(account, name)
            }
            for name in s["fields"]
            if getattr(user, f"hr_{name}_differs")
        }


check = HrMismatch()
