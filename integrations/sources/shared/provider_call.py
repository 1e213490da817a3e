"""The base of every kind's requests, for any protocol."""

from collections.abc import Iterable
from typing import ClassVar

from integrations.auth.parameters import secret_texts
from integrations.json_types import JsonMapping
from integrations.masking import mask
from integrations.source_data import SourceSettings
from integrations.transport.results import MAX_REASON


class ProviderCall:
    """The requests of ``source`` by one worker. ``options``: the source's settings, for the kind.

    ``hidden``: texts that no error shows. ``clock_skew``: seconds that the provider's clock is ahead; None: not known.
    """

    # Seconds to wait after a limit where an answer does not say how long; None: a short time, longer after each refusal.
    throttle_wait: ClassVar[float | None] = 60.0

    def __init__(self, source: SourceSettings) -> None:
        self.options: JsonMapping = source.settings
        self.hidden = [text for text in secret_texts(source.secrets) if text]
        self.clock_skew: float | None = None

    def shown(self, text: str, secrets: Iterable[str] = ()) -> str:
        """A text without secrets, short enough to be stored."""
        return mask(text, [*self.hidden, *secrets])[:MAX_REASON]

    def close(self) -> None:
        """End what belongs to this worker alone, such as a connection that is signed in."""
