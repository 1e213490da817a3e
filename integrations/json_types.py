"""Types of JSON values.

Settings, secrets, events and the bodies of vendors' APIs are JSON, whose nesting no type describes: each value is read
with ``isinstance`` or was validated by the kind before it was stored.
"""

from collections.abc import Mapping
from typing import Any

# A value of any JSON type.
Json = Any
# A JSON object that its holder may change, and a read-only one.
JsonObject = dict[str, Json]
JsonMapping = Mapping[str, Json]
