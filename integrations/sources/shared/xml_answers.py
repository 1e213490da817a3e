"""Reading an XML answer into the values that JSON has: texts, lists and dicts.

Neither a document type nor an entity of its own is accepted, so that no text grows while it is read.
"""

# The parser below gets no document type, so none of the attacks that the rule is about.
from xml.parsers.expat import ExpatError, ParserCreate  # nosec B407

from integrations.json_types import Json

MAX_DEPTH = 64
# The name of an item in the lists of AWS's query protocol.
ITEM = "member"


def xml_value(body: bytes) -> dict[str, Json]:
    """``{name of the root: value}``. An element with texts alone is a text, one with items ``member`` a list, another one a
    dict; attributes are ignored. Raises ValueError."""
    reader = _XmlReader()
    parser = ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except (ExpatError, LookupError) as error:
        raise ValueError(f"no XML: {error}") from None
    return reader.root


class _XmlReader:
    def __init__(self) -> None:
        self.root: dict[str, Json] = {}
        # The open elements: their children, and their texts.
        self.children: list[list[tuple[str, Json]]] = [[]]
        self.texts: list[list[str]] = [[]]

    def start(self, name: str, attributes: object) -> None:
        if len(self.children) > MAX_DEPTH:
            raise ValueError("nested too deeply")
        self.children.append([])
        self.texts.append([])

    def end(self, name: str) -> None:
        children, text = self.children.pop(), "".join(self.texts.pop()).strip()
        value: Json = text
        if children and all(child == ITEM for child, _ in children):
            value = [each for _, each in children]
        elif children:
            value = dict(children)
        self.children[-1].append((name, value))
        if len(self.children) == 1:
            self.root = {name: value}

    def text(self, data: str) -> None:
        self.texts[-1].append(data)

    def refuse(self, *_: object) -> None:
        raise ValueError("a document type is not accepted")
