"""The SQL that derives the facts of users from their accounts: one whole statement.

What each fact means is at ``User`` and in docs/checks.md; the columns below are grouped in the same order. A fact that
may be unknown is true if any account makes it true, else NULL if any account cannot say, else false.
"""

# ruff: noqa: S608  what is put into SQL are names and words of ours

from checks import dialect
from checks.models import (
    BLOCKED_STATUSES,
    EMPLOYED_STATUSES,
    ENABLED_STATUSES,
    GONE_STATUSES,
    GUEST_TYPES,
    NON_HUMAN_TYPES,
    RESOURCE_TYPES,
    TEMPORARY_STATUSES,
)

# Columns of ``User`` that take the value of the first account that has one.
PROFILE = (
    "login",
    "email",
    "display_name",
    "employee_id",
    "department",
    "title",
    "company",
    "phone",
    "locale",
    "user_type",
    "status",
    "employee_key",
)
# A placeholder is nobody's employee id.
PLACEHOLDER_OF = {"employee_id": " AND employee_key <> ''"}
# All columns of ``User`` that :func:`aggregate_accounts` gives.
FACTS = (
    *PROFILE,
    "manager_id",
    "owner_id",
    "protected",
    "enabled",
    "nhi",
    "guest",
    "internal",
    "admin",
    "created_at",
    "last_sign_in_at",
    "last_sign_in_known",
    "last_sign_in_country",
    "failed_sign_ins",
    "has_mfa",
    "no_mfa_since",
    "no_mfa_latest",
    "mfa_unknown_since",
    "weak_mfa_since",
    "not_resistant_since",
    "weak_unknown_since",
    "resistant_unknown_since",
    "mfa_bypass",
    "password_changed_at",
    "password_unknown",
    "password_never_expires",
    "type_missing",
    "type_inconsistent",
    "status_inconsistent",
    "stuck_since",
    "stuck_unknown",
    "in_hr",
    "terminated_since",
    "hr_status_unknown",
    "hr_unknown",
    "hr_manager_differs",
    "hr_department_differs",
    "hr_title_differs",
    "manager_given",
    "owner_given",
    "app_unused_since",
    "applications_unknown",
    "forwards",
    "credentials_exposed",
)


def aggregate_accounts(touched: str) -> str:
    """Select the facts of the users in the table ``touched``, and ``user_id``.

    The table ``named_users`` (``name``, ``user_id``) says which users managers and owners are. In the inner select an
    account is ``live`` unless it is deleted; ``idp`` if it is live at an identity source; ``hr`` if it is of an HR source,
    deleted or not, since a record that HR removed says that the user is not employed; ``enabled`` if a user can sign in
    with it; ``perhaps`` if its status is unknown, so that nobody knows whether one can. ``rank`` and ``boss_rank`` sort the accounts: live before deleted, then identity before HR (for managers and
    owners: HR before identity), then old before new; they have 19 characters.
    """
    words, bytewise = dialect.words, dialect.bytewise()
    always = dialect.time_constant("1970-01-01 00:00:00")
    padded_id = dialect.padded("a.id")
    # The blank sorts before the point of a fraction of a second, which SQLite omits where it is 0.
    sign_in = (
        f"{dialect.sortable('last_sign_in_at')} || ' ' || COALESCE(NULLIF(last_sign_in_country, ''), '--')"
    )
    profile = ",\n".join(
        f"""        CASE WHEN COUNT(id) > 0 THEN COALESCE(substr(
            MIN((rank || {column}) {bytewise}) FILTER (WHERE {column} <> ''{PLACEHOLDER_OF.get(column, "")}), 20), '')
            END AS {column}"""
        for column in PROFILE
    )
    return f"""
    SELECT owner_of_row AS user_id,
{profile},
        CAST(substr(MIN((boss_rank || manager_user) {bytewise})
            FILTER (WHERE live AND manager_user IS NOT NULL), 20) AS bigint) AS manager_id,
        CAST(substr(MIN((boss_rank || owner_user) {bytewise})
            FILTER (WHERE live AND owner_user IS NOT NULL), 20) AS bigint) AS owner_id,

        -- Who the user is.
        CASE WHEN COUNT(*) FILTER (WHERE of_identity) > 0
            THEN COUNT(*) FILTER (WHERE of_identity AND NOT gone) > 0
            ELSE COUNT(*) FILTER (WHERE present AND NOT gone) > 0 END
            AND COUNT(*) FILTER (WHERE live AND user_type IN {words(RESOURCE_TYPES)}) = 0 AS protected,
        CASE WHEN COUNT(*) FILTER (WHERE idp AND enabled) > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE idp AND status IS NULL) > 0 THEN NULL ELSE FALSE END AS enabled,
        COUNT(*) FILTER (WHERE live AND user_type IN {words(NON_HUMAN_TYPES)}) > 0 AS nhi,
        COUNT(*) FILTER (WHERE live AND user_type IN {words(GUEST_TYPES)}) > 0 AS guest,
        CASE WHEN COUNT(*) FILTER (WHERE live AND user_type <> '') > 0
            THEN COUNT(*) FILTER (WHERE live AND user_type <> '' AND user_type <> 'internal') = 0 END AS internal,
        CASE WHEN COUNT(*) FILTER (WHERE live AND is_admin) > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE idp) > 0
                AND COUNT(*) FILTER (WHERE idp AND is_admin IS NOT NULL) = 0 THEN NULL ELSE FALSE END AS admin,
        MIN(created_at) FILTER (WHERE idp) AS created_at,

        -- Sign-in.
        MAX(last_sign_in_at) FILTER (WHERE idp) AS last_sign_in_at,
        COUNT(*) FILTER (WHERE idp AND last_sign_in_known) > 0 AS last_sign_in_known,
        COALESCE(NULLIF({dialect.last_two(f"MAX(({sign_in}) {bytewise}) FILTER (WHERE idp)")}, '--'), '')
            AS last_sign_in_country,
        SUM(failed_sign_ins) FILTER (WHERE idp) AS failed_sign_ins,

        -- MFA and passwords, over the enabled accounts. An account of unknown status that would fail if it were enabled
        -- leaves the fact open. A kind of factor that is not recognised leaves both weak and
        -- resistant open; with a strong factor that is not phishing-resistant, only resistant.
        COUNT(*) FILTER (WHERE enabled AND mfa) > 0 AS has_mfa,
        MIN(since) FILTER (WHERE enabled AND NOT mfa) AS no_mfa_since,
        MAX(since) FILTER (WHERE enabled AND NOT mfa) AS no_mfa_latest,
        MIN(since) FILTER (WHERE enabled AND mfa IS NULL OR perhaps AND mfa IS NOT TRUE) AS mfa_unknown_since,
        MIN(since) FILTER (WHERE enabled AND factors_known AND assurance = 1) AS weak_mfa_since,
        MIN(since) FILTER (WHERE enabled AND NOT phishing_resistant) AS not_resistant_since,
        MIN(since) FILTER (WHERE (enabled OR perhaps) AND assurance IS NULL AND phishing_resistant IS NULL
            OR perhaps AND factors_known AND assurance = 1) AS weak_unknown_since,
        MIN(since) FILTER (WHERE enabled AND phishing_resistant IS NULL
            OR perhaps AND phishing_resistant IS NOT TRUE) AS resistant_unknown_since,
        CASE WHEN COUNT(*) FILTER (WHERE enabled AND mfa_bypass) > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE enabled AND mfa_bypass IS NULL OR perhaps AND mfa_bypass IS NOT FALSE) > 0
                THEN NULL ELSE FALSE END AS mfa_bypass,
        MIN(password_changed_at) FILTER (WHERE enabled) AS password_changed_at,
        COUNT(*) FILTER (WHERE enabled AND password_changed_at IS NULL OR perhaps) > 0 AS password_unknown,
        CASE WHEN COUNT(*) FILTER (WHERE enabled AND password_never_expires) > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE enabled AND password_never_expires IS NULL OR perhaps AND password_never_expires IS NOT FALSE) > 0
                THEN NULL
            ELSE FALSE END AS password_never_expires,

        -- Where the sources differ.
        CASE WHEN COUNT(*) FILTER (WHERE live AND user_type = '') > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE live AND user_type IS NULL) > 0 THEN NULL ELSE FALSE END AS type_missing,
        CASE WHEN MIN(user_type) FILTER (WHERE live AND user_type <> '')
                <> MAX(user_type) FILTER (WHERE live AND user_type <> '') THEN TRUE
            WHEN COUNT(id) FILTER (WHERE live) > 1
                AND COUNT(id) FILTER (WHERE live AND user_type IS NULL) > 0
                AND COUNT(*) FILTER (WHERE live AND user_type <> '') < 2 THEN NULL
            ELSE FALSE END AS type_inconsistent,
        CASE WHEN COUNT(*) FILTER (WHERE status = 'active') > 0
                AND COUNT(*) FILTER (WHERE status IN {words(BLOCKED_STATUSES)}) > 0 THEN TRUE
            WHEN COUNT(id) FILTER (WHERE live) > 1
                AND COUNT(id) FILTER (WHERE live AND status IS NULL) > 0 THEN NULL
            ELSE FALSE END AS status_inconsistent,
        MIN(status_changed_at) FILTER (WHERE idp AND status IN {words(TEMPORARY_STATUSES)}) AS stuck_since,
        COUNT(*) FILTER (WHERE perhaps OR idp AND status IN {words(TEMPORARY_STATUSES)}
            AND status_changed_at IS NULL) > 0 AS stuck_unknown,
        COUNT(*) FILTER (WHERE hr) > 0 AS in_hr,
        CASE WHEN COUNT(*) FILTER (WHERE hr AND status IN {words(EMPLOYED_STATUSES)}) = 0
                AND COUNT(*) FILTER (WHERE hr AND status IS NULL) = 0
            THEN MAX(COALESCE(status_changed_at, {always})) FILTER (WHERE hr) END AS terminated_since,
        COUNT(*) FILTER (WHERE hr AND status IN {words(EMPLOYED_STATUSES)}) = 0
            AND COUNT(*) FILTER (WHERE hr AND status IS NULL) > 0 AS hr_status_unknown,
        -- An employee id that joins nobody.
        COUNT(*) FILTER (WHERE hr) = 0 AND COUNT(*) FILTER (WHERE idp AND employee_id <> ''
            AND (employee_key = '' OR employee_id_shared)) > 0 AS hr_unknown,
        -- NULL unless both HR and an identity source give a value.
        CASE WHEN COUNT(*) FILTER (WHERE hr_live AND manager_key <> '') > 0
                AND COUNT(*) FILTER (WHERE idp AND manager_key <> '') > 0
            THEN MIN(manager_identity) FILTER (WHERE live AND manager_key <> '')
                <> MAX(manager_identity) FILTER (WHERE live AND manager_key <> '') END AS hr_manager_differs,
        CASE WHEN COUNT(*) FILTER (WHERE hr_live AND department_key <> '') > 0
                AND COUNT(*) FILTER (WHERE idp AND department_key <> '') > 0
            THEN MIN(department_key) FILTER (WHERE live AND department_key <> '')
                <> MAX(department_key) FILTER (WHERE live AND department_key <> '') END AS hr_department_differs,
        CASE WHEN COUNT(*) FILTER (WHERE hr_live AND title_key <> '') > 0
                AND COUNT(*) FILTER (WHERE idp AND title_key <> '') > 0
            THEN MIN(title_key) FILTER (WHERE live AND title_key <> '')
                <> MAX(title_key) FILTER (WHERE live AND title_key <> '') END AS hr_title_differs,
        CASE WHEN COUNT(*) FILTER (WHERE live AND manager <> '') > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE live AND manager = '') > 0 THEN FALSE END AS manager_given,
        CASE WHEN COUNT(*) FILTER (WHERE live AND owner <> '') > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE live AND owner = '') > 0 THEN FALSE END AS owner_given,

        -- Applications, mail, risk.
        MIN(app_unused_since) FILTER (WHERE idp) AS app_unused_since,
        COUNT(*) FILTER (WHERE idp AND NOT applications_known) > 0 AS applications_unknown,
        CASE WHEN COUNT(*) FILTER (WHERE idp AND CAST(forwarding AS text) <> '[]') > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE idp AND forwarding IS NULL) > 0 THEN NULL ELSE FALSE END AS forwards,
        CASE WHEN COUNT(*) FILTER (WHERE idp AND credentials_exposed) > 0 THEN TRUE
            WHEN COUNT(*) FILTER (WHERE idp AND credentials_exposed IS NULL) > 0 THEN NULL
            ELSE FALSE END AS credentials_exposed
    FROM (
        SELECT t.user_id AS owner_of_row, a.*, m.user_id AS manager_user, o.user_id AS owner_user,
            a.id IS NOT NULL AS present,
            s.kind = 'identity' AS of_identity,
            s.kind = 'hr' AS hr,
            a.id IS NOT NULL AND COALESCE(a.status, '') <> 'deleted' AS live,
            s.kind = 'identity' AND COALESCE(a.status, '') <> 'deleted' AS idp,
            s.kind = 'hr' AND COALESCE(a.status, '') <> 'deleted' AS hr_live,
            s.kind = 'identity' AND COALESCE(a.status, '') IN {words(ENABLED_STATUSES)} AS enabled,
            s.kind = 'identity' AND a.status IS NULL AS perhaps,
            COALESCE(a.status, '') IN {words(GONE_STATUSES)} AS gone,
            COALESCE(a.created_at, {always}) AS since,
            (CASE WHEN COALESCE(a.status, '') = 'deleted' THEN 2 ELSE 0 END
                + CASE WHEN s.kind = 'hr' THEN 1 ELSE 0 END) || {padded_id} AS rank,
            (CASE WHEN COALESCE(a.status, '') = 'deleted' THEN 2 ELSE 0 END
                + CASE WHEN s.kind = 'hr' THEN 0 ELSE 1 END) || {padded_id} AS boss_rank,
            CASE WHEN m.user_id IS NOT NULL THEN 'u' || m.user_id ELSE 'k' || a.manager_key END AS manager_identity
        FROM {touched} t
        LEFT JOIN checks_account a ON a.user_id = t.user_id
        LEFT JOIN checks_source s ON s.id = a.source_id
        LEFT JOIN named_users m ON m.name = a.manager_key
        LEFT JOIN named_users o ON o.name = a.owner_key
        {dialect.fence()}
    ) flagged
    GROUP BY owner_of_row
    """
