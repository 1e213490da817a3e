"""Entries of the audit trail as sentences: “ann changed description of the target “soar”.”"""

from django.apps import apps

from cii_project.audit.models import Action, ActorKind, AuditEntry

_ACTORS = {
    ActorKind.SYSTEM: "The system",
    ActorKind.VISITOR: "A visitor who is not signed in",
    ActorKind.COMMAND: "A command",
    ActorKind.MEMBER: "A member",
}
_VISITS = {
    Action.SIGN_IN: "signed in",
    Action.SIGN_OUT: "signed out",
    Action.SIGN_IN_FAILED: "failed to sign in",
    Action.LOCK_OUT: "was locked out",
}
_KINDS = {"integrations.integration": "target", "checks.user": "user", "auth.user": "member"}


def sentence(entry: AuditEntry) -> str:
    """One entry as a sentence: who did what to which object."""
    who = entry.actor or _ACTORS.get(ActorKind(entry.actor_kind), "Somebody")
    if entry.actor_kind == ActorKind.COMMAND:
        who += " (command line)"
    thing, text = _thing(entry), entry.text.strip().removesuffix(".")
    if visit := _VISITS.get(Action(entry.action)):
        return (
            f"{who} {visit}."
            if entry.action in (Action.SIGN_IN, Action.SIGN_OUT)
            else f"{who} {visit}: {text}."
        )
    if not thing:
        return f"{who}: {text}."
    if entry.action == Action.ADD and text in ("", "Added"):
        return f"{who} added {thing}."
    if entry.action == Action.DELETE and text in ("", "Deleted"):
        return f"{who} deleted {thing}."
    if entry.action == Action.CHANGE and text.startswith("Changed "):
        return f"{who} changed {text.removeprefix('Changed ')} of {thing}."
    return f"{who}, {thing}: {text}." if text else f"{who}: {entry.get_action_display().lower()} of {thing}."


def _thing(entry: AuditEntry) -> str:
    """The kind and the name of the object: “the target “soar””; empty where the action has none."""
    if not entry.object_kind:
        return ""
    kind = _KINDS.get(entry.object_kind)
    if kind is None:
        try:
            kind = str(apps.get_model(entry.object_kind)._meta.verbose_name)
        except (LookupError, ValueError):
            # Entries of an earlier version.
            kind = entry.object_kind
    return f"the {kind} “{entry.object_label}”" if entry.object_label else f"the {kind}"
