"""The base of this app's exceptions."""


class NotificationsError(Exception):
    """Something that the notifications were asked for cannot be done; the text says why."""
