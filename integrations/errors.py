"""The base class of every error that this app raises."""


class IntegrationError(Exception):
    """Something about a target, its configuration, its secrets or a request to it is wrong.

    The message is a sentence that may be shown: it holds no secret.
    """
