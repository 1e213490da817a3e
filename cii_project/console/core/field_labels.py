"""The fields of a record as pages name them."""

_LABELS = {
    "source_key": "Immutable id",
    "source_anchor": "Immutable id elsewhere",
    "employee_id": "Employee ID",
    "email": "E-mail",
    "mfa_enabled": "MFA enabled",
    "mfa_bypass": "MFA bypass",
    "mfa_factors": "MFA factors",
    "admin_roles": "Administrator roles",
    "last_sign_in_ip": "Last sign-in: IP address",
    "last_sign_in_at": "Last sign-in",
    "last_sign_in_country": "Last sign-in: country",
    "failed_sign_ins": "Failed sign-ins",
    "created_at": "Created",
    "status_changed_at": "Status changed",
    "password_changed_at": "Password changed",
    "forwarding": "Mail forwarding",
}


def label_of(field: str) -> str:
    """A field of the record as pages name it; empty for none."""
    return _LABELS.get(field, field.replace("_", " ").capitalize())
