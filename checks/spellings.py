"""How vendors spell a status, a user type and an MFA factor, and what these mean here.

Each table maps a *folded* spelling (lower case, letters and digits only) to the project's word. Sources:
Okta Users and Factors API, Microsoft Graph ``user`` and ``authenticationMethods``, Google Admin SDK
``users``, Active Directory exports, Duo Admin API, Workday worker statuses.
"""

import re

from checks.models import Assurance, Status, UserType

_NOISE = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """``PASSWORD_EXPIRED``, ``Password expired`` and ``passwordExpired`` are one spelling."""
    return _NOISE.sub("", text).casefold()


def _table(words: dict[str, str]) -> dict[str, str]:
    return {fold(word): value for value, line in words.items() for word in (value, *line.split("|"))}


STATUSES = _table(
    {
        Status.ACTIVE: "enabled|true|yes|1|current|employed|working|on leave|leave|on leave of absence|leave of absence|paid leave|unpaid leave",
        Status.STAGED: "pending|pending activation|pending acceptance|invited|new|pre hire|prehire",
        Status.PROVISIONED: "pending user action",
        Status.RECOVERY: "recovering|password reset",
        Status.PASSWORD_EXPIRED: "expired password|must change password",
        Status.LOCKED_OUT: "locked|lockout",
        Status.SUSPENDED: "blocked|on hold",
        Status.DISABLED: "false|no|0|inactive|deactivated|account disabled|archived|terminated|left|leaver|former|former employee|resigned|retired|dismissed|separated",
        Status.DEPROVISIONED: "offboarded",
        Status.DELETED: "removed|soft deleted|trashed",
        Status.TRANSIENT: "in transition|transitioning|provisioning|deprovisioning",
    }
)

USER_TYPES = _table(
    {
        UserType.INTERNAL: "member|employee|staff|regular|full time|part time|user|worker|intern|fte|person",
        UserType.GUEST: "b2b|invited guest|collaborator",
        UserType.EXTERNAL: "contractor|partner|vendor|supplier|consultant|contingent worker|contingent|freelancer|temporary|temp|external user",
        UserType.SERVICE_ACCOUNT: "service|svc|service principal|application|app|bot|robot|system|machine|non human|nhi|workload|managed identity",
        UserType.SHARED_MAILBOX: "shared|mailbox|shared mail box",
        UserType.CONFERENCE_ROOM: "room|meeting room|room mailbox",
        UserType.EQUIPMENT: "equipment mailbox|device|resource|printer",
    }
)

# Kinds of factors as they are stored.
PASSWORD, SMS, VOICE, PHONE, EMAIL, QUESTION = (
    "password",
    "sms",
    "voice",
    "phone",
    "email",
    "security_question",
)
TOTP, PUSH, SOFTWARE_OATH, HARDWARE_OTP, HARDWARE_OTP_PIN = (
    "totp",
    "push",
    "software_oath",
    "hardware_otp",
    "hardware_otp_pin",
)
FIDO2, WEBAUTHN, PASSKEY, WINDOWS_HELLO, CERTIFICATE = (
    "fido2",
    "webauthn",
    "passkey",
    "windows_hello",
    "certificate",
)

FACTOR_KINDS = _table(
    {
        PASSWORD: "passwordAuthenticationMethod",
        SMS: "text|text message|mobile sms|sms otp",
        VOICE: "call|voice call|phone call|landline",
        PHONE: "mobile|mobile phone|alternate mobile phone|office phone|phoneAuthenticationMethod|phone number",
        EMAIL: "email otp|emailAuthenticationMethod|email magic link",
        QUESTION: "question|security questions|securityQuestion",
        TOTP: "token:software:totp|google_otp|google authenticator|authenticator|authenticator app|app|app code|otp|microsoftAuthenticatorTotp|microsoft authenticator passwordless|passcode|mobile otp",
        PUSH: "microsoftAuthenticator|microsoftAuthenticatorAuthenticationMethod|microsoftAuthenticatorPush|microsoftAuthenticatorPasswordless|signed_nonce|okta_verify|okta verify|okta fastpass|duo push|duo mobile|duo|app push|push notification|google prompt|authenticator push",
        SOFTWARE_OATH: "softwareOath|softwareOathAuthenticationMethod|software one time passcode|softwareOneTimePasscode|soft token|symantec_vip|software token",
        HARDWARE_OTP: "token:hardware|token:hotp|token|hardwareOath|hardwareOneTimePasscode|yubikey otp|yubikey_token|hardware token|d100",
        HARDWARE_OTP_PIN: "hardware otp with pin|hardware token with pin|rsa securid|rsa_token|rsa|onpremMfa",
        FIDO2: "fido|fido2AuthenticationMethod|security key|securityKey|fido2 security key|fido u2f|u2f",
        WEBAUTHN: "webauthn platform|webauthn roaming|touch id|web authn|platform authenticator",
        PASSKEY: "passkeys|passKeyDeviceBound|passKeyDeviceBoundAuthenticator|passKeyDeviceBoundWindowsHello|passKeySynced|device bound passkey|synced passkey",
        WINDOWS_HELLO: "windowsHelloForBusiness|windowsHelloForBusinessAuthenticationMethod|windows hello for business|whfb|hello",
        CERTIFICATE: "x509|x.509|x509 certificate|x509CertificateSingleFactor|x509CertificateMultiFactor|smart card|smartcard|smart_card_idp|piv|cac|client certificate|x509Certificate",
    }
)

ASSURANCE = {
    **dict.fromkeys((PASSWORD, SMS, VOICE, PHONE, EMAIL, QUESTION), Assurance.LOW.value),
    **dict.fromkeys((TOTP, PUSH, SOFTWARE_OATH, HARDWARE_OTP), Assurance.MEDIUM.value),
    **dict.fromkeys(
        (HARDWARE_OTP_PIN, FIDO2, WEBAUTHN, PASSKEY, WINDOWS_HELLO, CERTIFICATE), Assurance.HIGH.value
    ),
}
PHISHING_RESISTANT = frozenset((FIDO2, WEBAUTHN, PASSKEY, WINDOWS_HELLO, CERTIFICATE))
# Factors that are bound to a telephone number.
BY_PHONE = frozenset((SMS, VOICE, PHONE))
ACTIVE_FACTOR = frozenset(("", "active", "enabled", "enrolled"))
