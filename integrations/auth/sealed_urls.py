"""URLs whose path and query are a secret, such as incoming webhooks: the URL is all that is needed to write to one.

The settings of an integration contain the masked form (``https://hooks.example.com/…``), the sealed part the whole URL
by dotted path, under :data:`KEY`. A document with the masked form keeps the stored URL. Pure.
"""

import copy
from collections.abc import Iterable, Mapping

from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.masking import MASK
from integrations.transport.addresses import UrlError, parse_url

KEY = "sealed_urls"
HIDDEN = "…"


def masked_url(url: str) -> str:
    """Scheme, host and port of a URL, and ``…`` in place of its path and query if it has any."""
    if is_masked_url(url):
        return url
    try:
        parsed = parse_url(url)
    except UrlError:
        return MASK
    return f"{parsed.scheme}://{parsed.netloc}/{HIDDEN if parsed.target != '/' else ''}"


def is_masked_url(url: str) -> bool:
    """Whether this is the result of :func:`masked_url`, which cannot be called."""
    return HIDDEN in url


def with_masked_urls(settings: JsonMapping, paths: Iterable[str]) -> tuple[JsonObject, dict[str, str]]:
    """Settings with the URLs at ``paths`` masked, and the whole URLs by path."""
    result = copy.deepcopy(dict(settings))
    urls = {}
    for path in paths:
        holder, key = _place(result, path)
        if isinstance(url := holder.get(key), str):
            holder[key] = masked_url(url)
            if holder[key] != url:
                urls[path] = url
    return result, urls


def with_whole_urls(settings: JsonMapping, urls: Mapping[str, str]) -> JsonObject:
    """Settings, or a document, in which each masked URL is replaced by the whole one of ``urls``, by path."""
    result = copy.deepcopy(dict(settings))
    for path, url in urls.items():
        holder, key = _place(result, path)
        if holder.get(key) == masked_url(url):
            holder[key] = url
    return result


def _place(values: JsonObject, path: str) -> tuple[JsonObject, str]:
    """The mapping that contains the last key of a dotted path, and that key; an empty mapping if there is none."""
    *parents, key = path.split(".")
    holder: Json = values
    for parent in parents:
        holder = holder.get(parent) if isinstance(holder, dict) else None
    return (holder if isinstance(holder, dict) else {}), key
