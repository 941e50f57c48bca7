"""From XML to the generated classes and back, with what these do not check: order and facets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final, get_args, get_origin, get_type_hints

from sandbox.bank.iso20022 import errors

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:"
MAX_BYTES: Final = 256 * 1024
MAX_STATEMENT_BYTES: Final = 128 * 1024 * 1024
"""A day of 100,000 lines is about 80 MB."""

TAKEN: Final = (
    "pacs.008.001.08",
    "pacs.002.001.10",
    "pacs.004.001.09",
    "camt.053.001.08",
    "camt.054.001.08",
)

_DECLARATION = re.compile(r"\A\ufeff?<\?xml[^<>]*\?>")

# The generated modules and xsdata take 0.2 s to import and most processes never need one of
# them, so every import of them stands in a function.


@cache
def classes(message: str) -> ModuleType:
    """The generated classes of `message`, one of `TAKEN`."""
    family = message.split(".", 1)[0]
    return import_module(f"pyiso20022.{family}.{message.replace('.', '_')}")


@cache
def _context() -> Any:
    from xsdata.formats.dataclass.context import XmlContext

    return XmlContext()


@cache
def _serializer() -> Any:
    from xsdata.formats.dataclass.serializers import XmlSerializer

    return XmlSerializer(context=_context())


def write(message: str, document: Any) -> str:
    """The XML of a `Document`, in its namespace without a prefix."""
    xml: str = _serializer().render(document, ns_map={None: NAMESPACE + message})
    return xml


def read(xml: str | bytes) -> tuple[str, Any]:
    """Which message it is, and its `Document`; prefixes and optional tags are the sender's choice.

    Refuses (`MessageRefused`) what is too large, not XML, declares a document type, is another
    message, or breaks the order, number, presence or facets of the message's tags.
    """
    from lxml import etree
    from xsdata.exceptions import ConverterError, ParserError
    from xsdata.formats.dataclass.parsers import XmlParser
    from xsdata.formats.dataclass.parsers.config import ParserConfig

    # What a text declares of its bytes is not true of ours.
    data = _DECLARATION.sub("", xml).encode() if isinstance(xml, str) else xml
    if len(data) > MAX_STATEMENT_BYTES:
        raise errors.MessageTooLarge(len(data), MAX_STATEMENT_BYTES)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        # Entities are looked at only where a document type declares them.
        if b"<!DOCTYPE" in data:
            raise errors.MessageUnsafe from None
        raise errors.MessageNotXml(str(error)) from None
    if root.getroottree().docinfo.doctype:
        raise errors.MessageUnsafe
    name = etree.QName(root)
    message = (name.namespace or "").removeprefix(NAMESPACE)
    if message not in TAKEN or name.localname != "Document":
        raise errors.MessageUnknown(str(root.tag)[:200])
    if len(data) > MAX_BYTES and message != "camt.053.001.08":
        raise errors.MessageTooLarge(len(data), MAX_BYTES)
    document_class = classes(message).Document
    _check(root, document_class, NAMESPACE + message, "Document")
    # Lax conversions must not pass: a value that is none of its type is an error here.
    config = ParserConfig(fail_on_converter_warnings=True)
    try:
        document = XmlParser(context=_context(), config=config).parse(root, document_class)
    except (ParserError, ConverterError) as error:
        raise errors.TagInvalid("Document", str(error)[:200]) from None
    return message, document


def make(message: str, tree: Mapping[str, Any]) -> Any:
    """A `Document` from tags: mappings for what has tags inside, text for the others.

    An attribute is written `@Ccy`, the text beside it as the tag of no name; None is left out.
    """
    return _make(classes(message).Document, tree)


def _make(cls: type, tree: Mapping[str, Any]) -> Any:
    from xsdata.models.datatype import XmlDate, XmlDateTime

    shape = _shape(cls)
    values: dict[str, Any] = {}
    for name, given in tree.items():
        if given is None:
            continue
        if name == "":
            values["value"] = Decimal(given)
            continue
        if name.startswith("@"):
            values[shape.attributes[name[1:]].field] = given
            continue
        tag = shape.tags[name]
        made: list[Any] = []
        for one in given if isinstance(given, list) else [given]:
            if is_dataclass(tag.type):
                made.append(_make(tag.type, one))  # type: ignore[arg-type]  # a class, no instance
            elif tag.type in (XmlDate, XmlDateTime):
                made.append(tag.type.from_string(one))
            else:
                made.append(tag.type(one))
        values[tag.field] = made if tag.repeats else made[0]
    return cls(**values)


def take(node: Any, path: str) -> Any:
    """What stands at `path` (tags with `/` between) below `node`, or None; of a list the first."""
    for name in path.split("/"):
        if isinstance(node, list):
            node = node[0] if node else None
        if node is None:
            return None
        of: Any = type(node)
        shape = _shape(of)
        field = shape.attributes[name[1:]].field if name[0] == "@" else shape.tags[name].field
        node = getattr(node, field)
    return node


def need(node: Any, path: str) -> Any:
    """The same; refuses the message when nothing stands there."""
    found = take(node, path)
    if found is None or found == []:
        raise errors.TagMissing(path)
    return found


@dataclass(frozen=True, slots=True)
class _Attribute:
    field: str
    required: bool


@dataclass(frozen=True, slots=True)
class _Tag:
    field: str
    position: int
    repeats: bool
    type: Any
    facets: Mapping[str, Any]
    required: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    tags: dict[str, _Tag]
    attributes: dict[str, _Attribute]
    value: Mapping[str, Any] | None


@cache
def _shape(cls: Any) -> _Shape:
    hints = get_type_hints(cls)
    tags: dict[str, _Tag] = {}
    attributes: dict[str, _Attribute] = {}
    value: Mapping[str, Any] | None = None
    for position, field in enumerate(fields(cls)):
        meta = field.metadata
        match meta.get("type"):
            case "Attribute":
                attributes[meta["name"]] = _Attribute(field.name, bool(meta.get("required")))
            case "Element":
                hint = hints[field.name]
                repeats = get_origin(hint) is list
                inner = [a for a in get_args(hint) if a is not type(None)] or [hint]
                needed = bool(meta.get("required")) or meta.get("min_occurs", 0) > 0
                tags[meta["name"]] = _Tag(field.name, position, repeats, inner[0], meta, needed)
            case "Wildcard":
                tags["*"] = _Tag(field.name, position, True, None, meta, False)
            case _:
                value = meta
    return _Shape(tags, attributes, value)


def _check(element: Any, cls: type, namespace: str, path: str) -> None:
    shape = _shape(cls)
    if shape.value is not None:
        _check_text(element, shape.value, path)
    elif (element.text or "").strip():
        raise errors.TagInvalid(path, "has text beside its tags")
    for name in element.attrib:
        if name not in shape.attributes and not name.startswith("{http://www.w3.org/2001/XML"):
            raise errors.TagUnknown(f"{path}/@{name}")
    for name, attribute in shape.attributes.items():
        if attribute.required and name not in element.attrib:
            raise errors.TagMissing(f"{path}/@{name}")
    if "*" in shape.tags:
        return
    last, seen = -1, set()
    for child in element:
        spelled = str(child.tag)
        own, _, name = spelled.removeprefix("{").partition("}")
        where = f"{path}/{name or spelled}"
        tag = shape.tags.get(name)
        if tag is None or own != namespace:
            raise errors.TagUnknown(where)
        if tag.position < last or (name in seen and not tag.repeats):
            raise errors.TagOrder(where)
        last = tag.position
        seen.add(name)
        if is_dataclass(tag.type):
            _check(child, tag.type, namespace, where)  # type: ignore[arg-type]  # a class, no instance
        else:
            if len(child):
                raise errors.TagUnknown(f"{where}/{str(child[0].tag).rpartition('}')[2]}")
            _check_text(child, tag.facets, where)
        if (child.tail or "").strip():
            raise errors.TagInvalid(path, "has text beside its tags")
    for name, tag in shape.tags.items():
        if tag.required and name not in seen:
            raise errors.TagMissing(f"{path}/{name}")


def _check_text(element: Any, facets: Mapping[str, Any], path: str) -> None:
    text = element.text or ""
    if len(text) < facets.get("min_length", 0):
        raise errors.TagInvalid(path, "is empty")
    if len(text) > facets.get("max_length", len(text)):
        raise errors.TagInvalid(path, f"is longer than {facets['max_length']} characters")
    pattern = facets.get("pattern")
    if pattern is not None and re.fullmatch(pattern, text) is None:
        raise errors.TagInvalid(path, "has the wrong form")
    if "total_digits" in facets or "fraction_digits" in facets:
        _check_number(text.strip(), facets, path)


def _check_number(text: str, facets: Mapping[str, Any], path: str) -> None:
    # xs:decimal knows no exponent, no NaN and no underscores; Python's Decimal does.
    if re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)", text, re.ASCII) is None or len(text) > 40:
        raise errors.TagInvalid(path, "is no decimal number")
    try:
        number = Decimal(text).as_tuple()
    except InvalidOperation:  # pragma: no cover - the form was looked at
        raise errors.TagInvalid(path, "is no decimal number") from None
    places = -int(number.exponent)
    if places > facets.get("fraction_digits", places):
        raise errors.TagInvalid(path, f"has more than {facets['fraction_digits']} decimals")
    if len(number.digits) > facets.get("total_digits", len(number.digits)):
        raise errors.TagInvalid(path, f"has more than {facets['total_digits']} digits")
