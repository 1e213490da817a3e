"""Errors as SCIM answers them (RFC 7644, section 3.12)."""

from integrations.errors import IntegrationError


class ScimError(IntegrationError):
    """A request that is refused. ``kind``: the ``scimType`` of the answer, "" where the RFC has none."""

    def __init__(self, status: int, detail: str, kind: str = "") -> None:
        super().__init__(detail)
        self.status, self.kind = status, kind


def invalid_value(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidValue")


def invalid_syntax(detail: str) -> ScimError:
    return ScimError(400, detail, "invalidSyntax")
