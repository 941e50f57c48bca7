"""Which shape a route answers with, and the schemas of shapes.

For the document alone: what a route answers is neither validated nor filtered on its way out.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Literal, TypeVar, get_args

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import TypedDict

from sandbox.core.http import answer_words

_Route = TypeVar("_Route", bound=Callable[..., Any])
Shape = Any
"""A TypedDict, a union of some, or a `ListOf` one of the two."""
Schema = dict[str, Any]
_MARK: Final = "answers_with"
_MODE: Final[Literal["serialization"]] = "serialization"
REF: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A page of objects (CONTRACT 8)."""

    item: Shape


def answers(shape: Shape) -> Callable[[_Route], _Route]:
    """Say, below a route's own decorator, which shape its successful JSON answers have."""

    def mark(route: _Route) -> _Route:
        setattr(route, _MARK, shape)
        return route

    return mark


def shape_of(route: Callable[..., Any]) -> Shape | None:
    """What `answers` said of the route, None where it said nothing."""
    return getattr(route, _MARK, None)


class _InWords(GenerateJsonSchema):
    """Members with descriptions; a title would say their names once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: Any) -> Schema:
        made = super().typed_dict_schema(schema)
        made.pop("title", None)
        names = [one.__name__ for one in _with_bases(schema["cls"])]
        for name, of in made["properties"].items():
            of["description"] = answer_words.member(names, name)
        return made


def _with_bases(shape: Any) -> Iterator[Any]:
    """What it is called, and what it has more members than: a TypedDict forgets its bases."""
    yield shape
    for base in getattr(shape, "__orig_bases__", ()):
        if base is not TypedDict:
            yield from _with_bases(base)


def schemas(shapes: Iterable[Shape]) -> tuple[dict[Shape, Schema], dict[str, Schema]]:
    """Each shape's schema, and the named ones that it refers to as components, in words."""
    asked = list(dict.fromkeys(shapes))
    types = [(one, _MODE, TypeAdapter(_type_of(one))) for one in asked]
    made, found = TypeAdapter.json_schemas(
        types,
        ref_template=f"{REF}{{model}}",
        schema_generator=_InWords,
    )
    components: dict[str, Schema] = found.get("$defs", {})
    return {one: made[one, _MODE] for one in asked}, components


def inlined(shape: Shape) -> Schema:
    """The shape's schema with everything in its place, for where nothing can be referred to."""
    own, components = schemas([shape])

    def whole(value: Any) -> Any:
        if isinstance(value, list):
            return [whole(one) for one in value]
        if not isinstance(value, dict):
            return value
        own = {key: whole(one) for key, one in value.items() if key != "$ref"}
        if "$ref" not in value:
            return own
        return {**whole(components[value["$ref"].removeprefix(REF)]), **own}

    found: Schema = whole(own[shape])
    return found


def _type_of(shape: Shape) -> Any:
    if not isinstance(shape, ListOf):
        return shape
    first = get_args(shape.item)[0] if isinstance(shape.item, UnionType) else shape.item
    members = {"object": Literal["list"], "data": list[shape.item], "has_more": bool}
    made = TypedDict(f"{first.__name__}List", members)  # type: ignore[misc]  # made by name
    made.__doc__ = "A page of them."
    return made
