"""The catalogue: one module a check, one line here. The order is that of the pages and commands."""

from importlib import import_module

from checks.catalogue.base import CatalogueCheck

_MODULES = (
    "no_mfa",
    "nhi_no_mfa",
    "weak_mfa_only",
    "admin_weak_mfa",
    "mfa_bypass",
    "shared_authenticator",
    "inactive_user",
    "inactive_guest",
    "never_logged_in",
    "dormant_admin",
    "password_age",
    "nhi_password_age",
    "password_never_expires",
    "user_type_missing",
    "user_type_inconsistent",
    "status_inconsistent",
    "stuck_state",
    "terminated_active",
    "missing_in_hr",
    "hr_mismatch",
    "no_manager",
    "manager_inactive",
    "nhi_no_owner",
    "nhi_admin",
    "guest_admin",
    "unused_applications",
    "email_forwarding",
    "denied_territory",
    "inactive_account_probing",
    "leaked_credentials",
)


def _load(module: str) -> CatalogueCheck:
    check: CatalogueCheck = import_module(f"{__name__}.{module}").check
    return check


CATALOGUE: dict[str, CatalogueCheck] = {check.slug: check for check in map(_load, _MODULES)}


def get(slug: str) -> CatalogueCheck:
    """The check of that slug. Raises ``KeyError``."""
    return CATALOGUE[slug]
