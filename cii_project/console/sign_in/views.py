"""The sign-in form, and what is logged and recorded of every sign-in, failure, lock-out and sign-out."""

import logging
from collections.abc import Mapping
from typing import Any

# Imported before the receivers below are connected: axes counts a failure first.
import axes.signals  # noqa: F401
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm as DjangoForm
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest
from unfold.forms import AuthenticationForm

from cii_project.audit.services import Action, Actor, ActorKind, record
from cii_project.console.core.roles import ROLE_NAMES, Role, role_of
from cii_project.console.sign_in.limits import forget_failures, refused_message
from cii_project.web.client_address import client_address, is_from_trusted_proxy

log = logging.getLogger("cii_project.sign_in")


class SignInForm(AuthenticationForm):
    """Lets members with a role in; says that the role is missing only if the password is right."""

    error_messages = {
        **DjangoForm.error_messages,
        "invalid_login": "The username or the password is wrong. Both are case-sensitive.",
        "no_role": f"Your account has no role yet. Ask an administrator to give you the role {ROLE_NAMES}.",
    }

    def confirm_login_allowed(self, user: User) -> None:
        # Not AdminAuthenticationForm's: it asks for staff status, which does not count here.
        DjangoForm.confirm_login_allowed(self, user)
        if role_of(user) > Role.NONE:
            return
        _record_visit(self.request, Action.SIGN_IN_FAILED, user.get_username(), "The account has no role.")
        raise ValidationError(self.error_messages["no_role"], code="no_role")

    def get_invalid_login_error(self) -> ValidationError:
        if getattr(self.request, "axes_locked_out", False):
            return ValidationError(refused_message(), code="locked_out")
        error: ValidationError = super().get_invalid_login_error()
        return error


def _record_visit(request: HttpRequest, action: Action, name: str, text: str) -> None:
    """One entry and one line of the log. The name is a visitor's input, so the line quotes it."""
    address = client_address(request)
    log.warning("%s: account %r from %s: %s", action, name, address or "an unknown address", text)
    record(action, None, text, actor=Actor(ActorKind.VISITOR, name, address))


@receiver(user_logged_in)
def signed_in(sender: object, request: HttpRequest, user: User, **kwargs: object) -> None:
    address = client_address(request)
    forget_failures(request, user.get_username())
    log.info("sign-in: account %r from %s", user.get_username(), address)
    member = Actor(ActorKind.MEMBER, user.get_username(), address, str(user.pk))
    record(Action.SIGN_IN, user, "Signed in.", actor=member)


@receiver(user_logged_out)
def signed_out(sender: object, request: HttpRequest, user: User | None, **kwargs: object) -> None:
    if user is None:  # the session had ended before
        return
    address = client_address(request)
    log.info("sign-out: account %r from %s", user.get_username(), address)
    member = Actor(ActorKind.MEMBER, user.get_username(), address, str(user.pk))
    record(Action.SIGN_OUT, user, "Signed out.", actor=member)


@receiver(user_login_failed)
def sign_in_failed(
    sender: object, credentials: Mapping[str, object], request: Any = None, **kwargs: object
) -> None:
    if request is None:
        return
    name = str(credentials.get("username") or "")
    # Set by axes where it counted this failure; not where it refused the attempt.
    counted = request.axes_failures_since_start
    if counted is None:
        # Only logged: attempts during a delay must not fill the audit trail.
        log.warning("sign-in refused during a delay: account %r from %s", name, client_address(request))
        return
    _record_visit(request, Action.SIGN_IN_FAILED, name, "Wrong username or password.")
    if request.axes_locked_out:
        _record_visit(request, Action.LOCK_OUT, name, _delay_text(request, counted))


def _delay_text(request: HttpRequest, failures: int) -> str:
    text = f"Sign-in is refused for {settings.SIGN_IN_DELAY} seconds after {failures} failures."
    if "X-Forwarded-For" in request.headers and not is_from_trusted_proxy(request):
        text += (
            " If this address is that of your proxy, name it in TRUSTED_PROXIES: all clients share it now."
        )
    return text
