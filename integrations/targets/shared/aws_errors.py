"""Error codes of AWS's JSON protocols. Pure.

https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
"""

from collections.abc import Mapping

from integrations.json_types import JsonMapping

CODE_HEADER = "x-amzn-ErrorType"


def json_error_code(headers: Mapping[str, str], body: JsonMapping) -> str:
    """The code of a refused request, of the header, else of the body; "" for none."""
    places = (headers.get(CODE_HEADER), body.get("__type"), body.get("code"))
    codes = (plain_code(place) for place in places if isinstance(place, str))
    return next(filter(None, codes), "")


def plain_code(text: str) -> str:
    """The code without the namespace that ends with “#”, and without “:” and the URL after it."""
    return text.partition(":")[0].rpartition("#")[2].strip()
