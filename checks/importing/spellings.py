"""How vendors spell a status, a user type and an MFA factor, and what these mean here.

Each table maps a *folded* spelling (lower case, letters and digits only) to the project's word. Sources:
Okta Users, Factors and Authenticators APIs; Microsoft Graph ``user``, ``authenticationMethods`` and
``userRegistrationDetails``; Google Admin SDK ``users``; Active Directory exports; Duo Admin API; AWS IAM; Auth0
Management API; OneLogin and JumpCloud users; Salesforce ``User``; Exchange recipient types; worker statuses of Workday,
BambooHR, SuccessFactors and ADP.
"""

from checks.importing.placeholders import fold
from checks.models import Assurance, Status, UserType

__all__ = [
    "ACTIVE_FACTOR",
    "ASSURANCE",
    "FACTOR_KINDS",
    "STATUSES",
    "USER_TYPES",
    "fold",
    "status_of_control_bits",
]


def _table(words: dict[str, str]) -> dict[str, str]:
    return {fold(word): value for value, line in words.items() for word in (value, *line.split("|"))}


def _words(line: str) -> frozenset[str]:
    return frozenset(fold(word) for word in line.split())


STATUSES = _table(
    {
        # Parental leave is often part-time work; a source that treats it as leave maps the word.
        Status.ACTIVE: "enabled|true|yes|1|wahr|vrai|verdadero|vero|verdadeiro|waar|aktiv|actif|activo|attivo|ativo|current|employed|working|activated|accepted|ok|account ok|live|in service|hired|rehired"
        "|full time|part time|regular|permanent|probation|on probation|probationary|in probation|confirmed|contract|seasonal|temporary"
        "|bypass|unlicensed|licensed|account enabled|verified|registered|normal|valid|in use|serving notice|notice period|on notice"
        "|notice|resigning|future termination|pending termination|termination pending|active employee|employee|active assignment"
        "|active process|reinstated|returned|parental leave|open|on assignment|secondment|user enabled|login enabled|dormant",
        Status.ON_LEAVE: "leave|on leave of absence|leave of absence|loa|beurlaubt|absent|paid leave|unpaid leave|leave with pay|leave without pay"
        "|paid leave of absence|unpaid leave of absence|on leave paid|on leave unpaid|medical leave|sick leave|long term sick"
        "|long term sick leave|maternity leave|paternity leave|maternity|paternity|adoption leave|family leave|fmla|fmla leave"
        "|military leave|sabbatical|sabbatical leave|furlough|furloughed|garden leave|gardening leave|disability leave|long term disability"
        "|short term disability|ltd|std|personal leave|educational leave|study leave|career break|bereavement leave|caregiver leave"
        "|administrative leave|annual leave|extended leave|employee on leave|active on leave|inactive on leave|away on leave|temporarily absent",
        Status.STAGED: "pending|pending activation|pending acceptance|invited|new|pre hire|prehire|pre-boarding|preboarding|onboarding"
        "|unactivated|not activated|inactivated yet|future hire|future dated hire|future start|pending hire|to be hired|upcoming|not started"
        "|pre start|invitation sent|invitation pending|pending invitation|pending approval|pending registration|unverified|not verified"
        "|unconfirmed|created|awaiting activation|awaiting approval|starter|offer accepted|candidate|draft|web login required",
        Status.PROVISIONED: "pending user action|password pending|security questions required|initialized|provisioning complete",
        Status.RECOVERY: "recovering|password reset|awaiting password reset|force change password|reset required|password reset required"
        "|reset_required|force_change_password",
        Status.PASSWORD_EXPIRED: "expired password|must change password|password has expired|account password expired",
        Status.LOCKED_OUT: "locked|lockout|security lock|account locked|locked temporarily|temporarily locked|password locked|is locked"
        "|user locked|locked out by duo|account locked out|unconfirmed locked",
        Status.SUSPENDED: "blocked|on hold|frozen|paused|held|quarantined|suspended user|restricted|sign in blocked|login blocked"
        "|suspended by admin|admin suspended|abuse|compromised",
        Status.DISABLED: "false|no|0|falsch|faux|falso|onwaar|inaktiv|deaktiviert|inactif|inactivo|inattivo|inativo|ausgeschieden|inactive|deactivated|account disabled|archived|terminated|left|leaver|former|former employee|resigned"
        "|retired|dismissed|separated|deceased|died|dead|quit|laid off|layoff|redundant|ended|contract ended|employment ended|end of contract"
        "|gone|released|discharged|discarded|no show|reported no show|withdrawn|rescinded|exited|exit|alumni|closed|not active|not employed"
        "|ex employee|involuntary termination|voluntary termination|terminated with pay|retiree|retired with pay|pensioner|user disabled"
        "|login disabled|cancelled|canceled|revoked|unregistered|disabled user|sign in disabled|offline account|past",
        Status.DEPROVISIONED: "offboarded|offboarding complete|de provisioned|unprovisioned",
        Status.DELETED: "removed|soft deleted|trashed|pending deletion|deletion pending|purged|recently deleted|in trash|destroyed|erased",
        Status.TRANSIENT: "in transition|transitioning|provisioning|deprovisioning|activating|deactivating|processing|in progress|importing"
        "|creating|updating|suspending|unsuspending|restoring",
    }
)

USER_TYPES = _table(
    {
        UserType.INTERNAL: "member|employee|staff|regular|full time|part time|user|worker|intern|fte|person|standard|user mailbox"
        "|linked mailbox|human|people|permanent|full time employee|part time employee|regular employee|trainee|apprentice|working student"
        "|student|faculty|executive|director|manager|salaried|hourly|seasonal|internal user|corporate|mail user|remote user mailbox"
        "|remote mailbox|csn only|power user|full|associate|team member|colleague|volunteer|fixed term|normal|individual|in house",
        UserType.GUEST: "b2b|invited guest|collaborator|guest user|external guest|guest mail user|restricted|ultra restricted|visitor"
        "|b2b collaboration|outside collaborator|single channel guest|multi channel guest|b2b guest",
        UserType.EXTERNAL: "contractor|partner|vendor|supplier|consultant|contingent worker|contingent|freelancer|temporary|temp"
        "|external user|external member|third party|outsourced|agency|agency worker|contract|independent contractor|non employee"
        "|customer|client|power partner|csp lite portal|customer success|power customer success|customer portal user|customer portal manager"
        "|self service|high volume portal|partner community|customer community|auditor|subcontractor|service provider|business partner"
        "|external contractor|consulting|leased worker|third party user|b2c",
        UserType.SERVICE_ACCOUNT: "service|svc|service principal|application|app|bot|robot|system|machine|non human|nhi|workload"
        "|managed identity|legacy service|cloud integration user|automated process|integration|integration user|api|api user|technical"
        "|technical user|technical account|daemon|gmsa|smsa|group managed service account|msds group managed service account|computer"
        "|functional|functional account|process account|batch|automation|automated|rpa|non person|non personal|system account|generic"
        "|app user|scheduled task|system user|service user|functional id|ci|system mailbox|license manager user|non human identity",
        UserType.SHARED_MAILBOX: "shared|mailbox|shared mail box|team mailbox|group mailbox|shared account|remote shared mailbox|generic mailbox"
        "|discovery mailbox|public folder mailbox|scheduling mailbox",
        UserType.CONFERENCE_ROOM: "room|meeting room|room mailbox|remote room mailbox|workspace|conference|room list",
        UserType.EQUIPMENT: "equipment mailbox|device|resource|printer|remote equipment mailbox|scanner|iot",
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
# Bound to a device's secure hardware and to the site's origin: Okta FastPass, Platform SSO of macOS.
FASTPASS, PLATFORM_CREDENTIAL = "fastpass", "platform_credential"
# One step of a sign-in, not a second one.
SINGLE_FACTOR_CERTIFICATE, QR_CODE = "single_factor_certificate", "qr_code"
# A second factor whose strength another system decides.
EXTERNAL, DESKTOP_TOKEN = "external", "desktop_token"
# Gets around MFA for a while, or once: not a factor.
NO_FACTOR = "no_factor"

FACTOR_KINDS = _table(
    {
        PASSWORD: "passwordAuthenticationMethod|okta_password|pwd|single factor",
        SMS: "text|text message|mobile sms|sms otp|sms-mfa|one way sms|sms authentication|phone sms|sms code|sms passcode|txt",
        VOICE: "call|voice call|phone call|landline|mobile call|two way voice mobile|two way voice office|two way voice alternate mobile"
        "|voice authentication|phone voice|office call|alternate mobile call|telephone call",
        PHONE: "mobile|mobile phone|alternate mobile phone|office phone|phoneAuthenticationMethod|phone number|alternate phone|telephone"
        "|phone authentication|business phone|authentication phone",
        EMAIL: "email otp|emailAuthenticationMethod|email magic link|okta_email|e-mail|email authentication|email code|mail|alternate email",
        QUESTION: "question|security questions|securityQuestion|securityQuestionAuthenticationMethod|secret question|kba",
        TOTP: "token:software:totp|google_otp|google authenticator|authenticator|authenticator app|app|app code|otp|microsoftAuthenticatorTotp"
        "|passcode|mobile otp|custom_otp|oneTimePasscode|one time passcode|one time password|virtual|virtual mfa|virtual mfa device|phone app otp"
        "|authy|time based one time password|totp app|okta verify totp|software totp|onelogin protect otp|authenticator code|verification code app",
        PUSH: "microsoftAuthenticator|microsoftAuthenticatorAuthenticationMethod|microsoftAuthenticatorPush"
        "|microsoftAuthenticatorPasswordless|microsoft authenticator passwordless|passwordlessMicrosoftAuthenticatorAuthenticationMethod"
        "|okta_verify|okta verify|okta verify push|duo push|duo mobile|duo|app push|push notification|google prompt|authenticator push"
        "|appNotification|phone app notification|custom_app|custom authenticator|guardian|push-notification|onelogin protect|pingid|jumpcloud protect"
        "|mobile push|salesforce authenticator|phone prompt|authenticator app notification",
        SOFTWARE_OATH: "softwareOath|softwareOathAuthenticationMethod|software one time passcode|softwareOneTimePasscode|soft token|symantec_vip"
        "|software token|oath software token|token:software|software oath token",
        HARDWARE_OTP: "token:hardware|token:hotp|token|hardwareOath|hardwareOathAuthenticationMethod|hardwareOneTimePasscode|yubikey otp"
        "|yubikey_token|hardware token|d100|yk|d1|h6|h8|t6|t8|hardware|hardware mfa device|oath hardware token|hotp|hard token|hardware oath token"
        "|yubikey token|gemalto|duo token|otp token",
        HARDWARE_OTP_PIN: "hardware otp with pin|hardware token with pin|rsa securid|rsa_token|rsa|onpremMfa|onprem_mfa",
        FIDO2: "fido|fido2AuthenticationMethod|security key|securityKey|fido2 security key|fido u2f|u2f|fido2SecurityKey|hardware security key"
        "|passkey fido2|fido security key|u2f token|yubikey fido2|yubikey|titan security key|fido 2",
        WEBAUTHN: "webauthn platform|webauthn roaming|touch id|web authn|platform authenticator|platform|roaming|face id|security key or biometric"
        "|biometric|webauthn credential|built in authenticator|webauthn-platform|webauthn-roaming",
        PASSKEY: "passkeys|passKeyDeviceBound|passKeyDeviceBoundAuthenticator|passKeySynced|device bound passkey|synced passkey"
        "|passkeyAuthenticationMethod|passkey device bound|microsoft authenticator passkey|passkey in microsoft authenticator",
        WINDOWS_HELLO: "windowsHelloForBusiness|windowsHelloForBusinessAuthenticationMethod|windows hello for business|whfb|hello"
        "|passKeyDeviceBoundWindowsHello",
        CERTIFICATE: "x509|x.509|x509 certificate|x509CertificateMultiFactor|x509CertificateAuthenticationMethod|smart card|smartcard"
        "|smart_card_idp|piv|cac|client certificate|x509Certificate|certificate multi factor|piv card|cac card|certificate based authentication|cba",
        FASTPASS: "signed_nonce|okta fastpass|okta_fastpass|okta verify fastpass|fast pass",
        PLATFORM_CREDENTIAL: "platformCredential|macOsSecureEnclaveKey|platformCredentialAuthenticationMethod|platform credential for macos"
        "|secure enclave key|macos platform credential",
        SINGLE_FACTOR_CERTIFICATE: "x509CertificateSingleFactor|certificate single factor",
        QR_CODE: "qrCode|qrCodePin|qr code pin|qrCodePinAuthenticationMethod",
        EXTERNAL: "externalAuthMethod|externalAuthenticationMethod|external_idp|web|external mfa|custom mfa|third party mfa"
        "|external authentication method|external idp|claims provider|external authenticator",
        DESKTOP_TOKEN: "desktoptoken|desktop authenticator|duo desktop",
        NO_FACTOR: "temporaryAccessPass|temporaryAccessPassAuthenticationMethod|temporary access pass|tac|temporary access code|tap|appPassword"
        "|app password|recovery-code|recovery code|recovery codes|backup code|backup codes|bypass code|bypass codes|bypass|one time bypass"
        "|backup verification codes|scratch codes|recovery key|temporary code|recovery email|recovery phone|temp code",
    }
)
# (Kind, provider) of a factor of Okta's API where the kind alone does not decide.
KINDS_BY_PROVIDER = {
    ("token", "rsa"): HARDWARE_OTP_PIN,
    ("token", "symantec"): SOFTWARE_OATH,
}
# Spellings that only Microsoft uses, letter by letter: others in the same list are Microsoft's too.
ENTRA_SPELLINGS = frozenset(
    [
        "mobilePhone",
        "alternateMobilePhone",
        "officePhone",
        "microsoftAuthenticatorPush",
        "microsoftAuthenticatorPasswordless",
        "softwareOneTimePasscode",
        "hardwareOneTimePasscode",
        "windowsHelloForBusiness",
        "fido2SecurityKey",
        "passKeyDeviceBound",
        "passKeyDeviceBoundAuthenticator",
        "passKeyDeviceBoundWindowsHello",
        "passKeySynced",
        "temporaryAccessPass",
        "externalAuthMethod",
        "macOsSecureEnclaveKey",
        "securityQuestion",
        "x509CertificateMultiFactor",
        "x509CertificateSingleFactor",
        "appNotification",
        "oneTimePasscode",
        "microsoftAuthenticator",
        "appPassword",
        "emailAuthenticationMethod",
        "phoneAuthenticationMethod",
        "fido2AuthenticationMethod",
        "softwareOathAuthenticationMethod",
        "qrCodePin",
        "microsoftAuthenticatorAuthenticationMethod",
        "windowsHelloForBusinessAuthenticationMethod",
        "passwordAuthenticationMethod",
        "mobileCall",
        "temporaryAccessPassAuthenticationMethod",
        "platformCredentialAuthenticationMethod",
        "securityQuestionAuthenticationMethod",
        "platformCredential",
        "OneWaySMS",
        "TwoWayVoiceMobile",
        "TwoWayVoiceOffice",
        "TwoWayVoiceAlternateMobile",
        "PhoneAppOTP",
        "PhoneAppNotification",
    ]
)
# In Microsoft Entra these serve password reset only.
ENTRA_RESET_ONLY = frozenset((EMAIL, QUESTION))

ASSURANCE = {
    **dict.fromkeys(
        (PASSWORD, SMS, VOICE, PHONE, EMAIL, QUESTION, SINGLE_FACTOR_CERTIFICATE, QR_CODE),
        Assurance.LOW.value,
    ),
    **dict.fromkeys((TOTP, PUSH, SOFTWARE_OATH, HARDWARE_OTP), Assurance.MEDIUM.value),
    **dict.fromkeys(
        (
            HARDWARE_OTP_PIN,
            FIDO2,
            WEBAUTHN,
            PASSKEY,
            WINDOWS_HELLO,
            CERTIFICATE,
            FASTPASS,
            PLATFORM_CREDENTIAL,
        ),
        Assurance.HIGH.value,
    ),
}
PHISHING_RESISTANT = frozenset(
    (FIDO2, WEBAUTHN, PASSKEY, WINDOWS_HELLO, CERTIFICATE, FASTPASS, PLATFORM_CREDENTIAL)
)
# Alone they are no MFA.
SINGLE_FACTORS = frozenset((PASSWORD, SINGLE_FACTOR_CERTIFICATE, QR_CODE))
# Kinds that are known to be a second factor.
SECOND_FACTORS = frozenset({*ASSURANCE, EXTERNAL, DESKTOP_TOKEN} - SINGLE_FACTORS)
# Factors that are bound to a telephone number.
BY_PHONE = frozenset((SMS, VOICE, PHONE))
ACTIVE_FACTOR = frozenset(
    (
        *("", "active", "enabled", "enrolled", "registered", "activated", "verified", "confirmed"),
        *("true", "yes", "on"),
    )
)
# What exports write in the place of a factor's device: its state. Words for nothing say that there is no such factor.
FACTOR_STATES = (ACTIVE_FACTOR - {""}) | frozenset(
    fold(word)
    for word in [
        *("pending", "pending activation", "pending verification", "not verified", "unverified"),
        *("unconfirmed", "expired", "revoked", "suspended", "blocked", "locked", "locked out"),
        *("deactivated", "deleted", "removed", "lost", "stolen", "initialized"),
    ]
)
INACTIVE_FACTOR = FACTOR_STATES - ACTIVE_FACTOR
# The first word of a longer text about a factor that cannot be used.
OUT_OF_USE = _words(
    "disabled inactive deactivated expired revoked suspended blocked deleted removed pending unverified unconfirmed "
    "unregistered unenrolled"
)
# In a text about a factor: perhaps it cannot be used. In the languages of which admin consoles write exports.
DOUBTFUL = OUT_OF_USE | _words(
    "not never no longer none null nil false off f lost stolen locked unset required exempt excluded skipped opted opt "
    "grace unenforced unsupported missing absent without w only todo tba tbd waiting awaiting setup enroll register "
    "insufficient access denied permission privileges license licensed unlicensed premium object array undefined empty "
    "kein keine keiner keines nein nicht ohne leer deaktiviert inaktiv abgelaufen gesperrt ausstehend gelöscht "
    "aucun aucune non pas sans vide désactivé désactivée desactive inactif inactive expiré supprimé "
    "ninguno ninguna ningún ningun sin vacío vacio deshabilitado desactivado inactivo pendiente eliminado "
    "nessuno nessuna senza vuoto disabilitato disattivato inattivo scaduto "
    "nenhum nenhuma não nao sem vazio desativado desabilitado inativo pendente "
    "geen nee niet zonder leeg uitgeschakeld gedeactiveerd inactief "
    "ingen inget inga nej inte ikke nei utan uten uden avaktiverad inaktiverad deaktivert deaktiveret inaktiv ei eivät "
    "brak nie wyłączone wyłączony nieaktywny žádný žádné ne není vypnuto nem nincs niciunul nu dezactivat "
    "нет не отключено отключен отсутствует нема немає κανένα όχι yok devre "
    "なし 無し 無効 未登録 未設定 无 無 没有 未启用 未注册 禁用 停用 未啟用 없음 비활성 미등록 사용안함 לא אין لا tidak"
)
# Keys of a factor that say whether it can be used: Auth0's confirmed, Duo's activated, Graph's isUsable.
FACTOR_FLAGS = frozenset(
    fold(word)
    for word in [
        *("enabled", "active", "activated", "confirmed", "verified", "registered", "enrolled", "usable"),
        *("is enabled", "is active", "is activated", "is confirmed", "is verified", "is registered"),
        *("is enrolled", "is usable", "configured", "is configured"),
    ]
)

# Active Directory's userAccountControl (MS-ADTS 2.2.16).
_DISABLED, _LOCKED, _EXPIRED, _ACCOUNT = 0x2, 0x10, 0x80_0000, 0x200 | 0x800 | 0x1000 | 0x2000


def status_of_control_bits(text: str) -> str | None:
    """The status that a number of Active Directory's userAccountControl means; None for any other text."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    bits = int(text)
    if not bits & _ACCOUNT or bits >= 1 << 32:
        return None
    if bits & _DISABLED:
        return Status.DISABLED.value
    if bits & _LOCKED:
        return Status.LOCKED_OUT.value
    return Status.PASSWORD_EXPIRED.value if bits & _EXPIRED else Status.ACTIVE.value
