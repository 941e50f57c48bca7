"""Schemas of answers and events, so closed that they find a member which no shape has."""

from typing import Any

Json = dict[str, Any]


def closed(schema: Any) -> Any:
    """The schema, letting through no member that it does not name.

    What is published stays open: more members may come at any time (CONTRACT).
    """
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one) for name, one in schema.items()}
    if isinstance(made.get("properties"), dict) and isinstance(made.get("required"), list):
        made["additionalProperties"] = False
    return made


def answers_of(document: Json) -> dict[str, Json]:
    """`METHOD /path` → the schema of its successful JSON answers, complete in itself."""
    found = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                shown = response.get("content", {}).get("application/json")
                if status.startswith("2") and shown is not None:
                    schema = shown["schema"] | {"components": document["components"]}
                    found[f"{method.upper()} {path}"] = schema
    return found
