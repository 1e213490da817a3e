"""Users whose last sign-in came from a denied country."""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from checks.catalogue.audience_texts import AudienceTexts, ListText, ManagerText, UserText
from checks.catalogue.definition import CatalogueCheck, Details, Settings, has_identity_account, is_identity
from checks.catalogue.setting_fields import CountryListField
from checks.models import Account, User


class DeniedTerritory(CatalogueCheck):
    slug = "denied-territory"
    title = "Sign-In From a Denied Territory"
    severity = "high"
    topics = ("Threat", "Location")
    description = (
        "The last successful sign-in of these users came from a country on the list of denied ones: {{countries}}.",
    )
    recommended_actions = (
        "Ask the user about the sign-in. If it was not theirs, end the sessions and reset password and factors.",
        "Block these countries in the sign-in policy.",
        "Exclude travellers until the day that they are back.",
    )
    texts = AudienceTexts(
        subject="sign-in from an unexpected country",
        user=UserText(
            found="Your account was used to sign in from a country from which we do not expect sign-ins.",
            why="If it was not you, somebody else may know your password.",
            actions=(
                "If it was not you, change your password now and tell us.",
                "If you are travelling, tell us where you are and until when.",
            ),
            due_days=1,
            contact="your security team",
            shows=("country", "lastSignIn"),
        ),
        manager=ManagerText(
            found="This account was used to sign in from a country from which we do not expect sign-ins.",
            actions=(
                "Ask whether they are travelling, and tell us until when.",
                "If they are not, tell us today.",
            ),
            shows=("country", "lastSignIn"),
        ),
        list=ListText(found="The last sign-in of these users came from a denied country ({{countries}})."),
    )
    frameworks = ("NIST-800-53:AC-2(12)", "NIST-800-53:SI-4", "ISO-27001:A.8.16")
    fields = {
        "countries": CountryListField(
            initial=["BY", "CD", "CF", "CU", "IQ", "IR", "KP", "LB", "LY", "RU", "SD", "SO", "SY", "YE"],
            label="Denied countries",
            help_text="ISO 3166 codes of two letters, with commas between.",
        ),
    }

    def fails(self, s: Settings, now: datetime) -> Q:
        return Q(last_sign_in_at__isnull=False, last_sign_in_country__in=s.countries)

    def unknown(self, s: Settings, now: datetime) -> Q:
        country_unknown = Q(last_sign_in_at__isnull=False, last_sign_in_country="")
        return country_unknown | (Q(last_sign_in_known=False) & has_identity_account())

    def failing_account(self, account: Account, s: Settings, now: datetime) -> bool:
        return is_identity(account) and account.last_sign_in_country in s.countries

    def explain(self, user: User, accounts: Sequence[Account], s: Settings, now: datetime) -> Details:
        latest = [a for a in accounts if is_identity(a) and a.last_sign_in_at == user.last_sign_in_at]
        return {
            "lastSignIn": user.last_sign_in_at,
            "country": user.last_sign_in_country,
            "ipAddress": next((a.last_sign_in_ip for a in latest if a.last_sign_in_ip), None),
        }


check = DeniedTerritory()
