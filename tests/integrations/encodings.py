"""How another side may write a secret that it was sent: made here without the code that looks for it."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus


def encodings(secret: str) -> dict[str, str]:
    data = secret.encode()
    found = {
        "plain": secret,
        "percent": quote(secret, safe=""),
        "percent in lower case": re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), quote(secret, safe="")),
        "form": quote_plus(secret),
        "every byte percent": "".join(f"%{byte:02X}" for byte in data),
        "JSON": json.dumps(secret)[1:-1],
        "JSON, not ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON, every character": re.sub("(....)", r"\\u\1", secret.encode("utf-16-be").hex()),
        "JSON in JSON": json.dumps(json.dumps(secret)[1:-1])[1:-1],
        "HTML": html.escape(secret),
        "HTML, decimal": "".join(f"&#{ord(c)};" for c in secret),
        "HTML, without semicolons": "".join(f"&#{ord(c)}" for c in secret),
        "HTML, hexadecimal": "".join(f"&#X{ord(c):x};" for c in secret),
        "JSON in HTML": html.escape(json.dumps(secret)[1:-1]),
        "hexadecimal": data.hex(),
        "hexadecimal in capitals": data.hex().upper(),
        "a Python literal": "".join(f"\\x{byte:02x}" for byte in data),
        "base64 in lines": base64.encodebytes(data).decode().strip(),
        "base64, percent": quote(base64.b64encode(data).decode(), safe=""),
        "base64 of the form": base64.b64encode(quote_plus(secret).encode()).decode(),
        "base64 of JSON": base64.b64encode(json.dumps(secret).encode()).decode(),
        "base64 of JSON as PHP writes it": base64.b64encode(
            json.dumps(secret).replace("/", r"\/").encode()
        ).decode(),
    }
    for before in ("", "u", "u:", "usr:"):
        for after in ("", "!", "!!"):
            text = (before + secret + after).encode()
            name = f"after {len(before)} and before {len(after)} bytes"
            found[f"base64 {name}"] = base64.b64encode(text).decode()
            found[f"base64 without padding {name}"] = base64.b64encode(text).decode().rstrip("=")
            found[f"base64url {name}"] = base64.urlsafe_b64encode(text).decode()
    return found


def traces(secret: str, text: str) -> list[str]:
    """The encodings of a secret that a text shows, whole or all but their ends."""
    return [name for name, form in encodings(secret).items() if len(form) >= 12 and form[4:-4] in text]
