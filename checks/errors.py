"""The base class of every error that this app raises."""


class ChecksError(Exception):
    """Accounts, checks or a run are not as an operation needs them. The message is a sentence that may be shown."""
