"""How many examples a hypothesis test takes."""

from hypothesis import settings

# The profile that tests/conftest.py loads for `pytest -m many_examples`.
MANY = "many"
TIMES_MORE = 25


def examples(count: int) -> settings:
    """``count`` examples; ``TIMES_MORE`` as many under the marker ``many_examples``."""
    return settings(max_examples=count * (TIMES_MORE if settings.get_current_profile_name() == MANY else 1))
