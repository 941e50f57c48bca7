"""docker-compose.yml and Dockerfile as far as tests need to read them."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_VARIABLE = re.compile(r"\$\{(\w+)(?::\?([^}]*))?\}")


class NotSet(Exception):
    """A variable that the file asks for, in its own words."""


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """`${NAME:?words}` as compose replaces it. Raises `NotSet` with those words."""

    def value(found: re.Match[str]) -> str:
        if not given.get(found[1]):
            raise NotSet(found[2])
        return given[found[1]]

    return _VARIABLE.sub(value, text)


def variables(text: str) -> set[str]:
    return {found[1] for found in _VARIABLE.finditer(text)}


def environment(service: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    asked: Mapping[str, str] = service.get("environment", {})
    return {name: interpolated(value, given) for name, value in asked.items()}


@dataclass
class Stage:
    """One `FROM … AS name` of a Dockerfile: its instructions in order, as (word, rest)."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for found, rest in self.instructions if found == word]


def stages() -> dict[str, Stage]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = found[name] = Stage(name, base)
            continue
        assert stage is not None, line
        stage.instructions.append((word, rest.strip()))
    return found


def copied(stage: Stage) -> list[str]:
    """What a stage takes from the folder of the Dockerfile."""
    taken = []
    for rest in stage.all("COPY"):
        words = shlex.split(rest)
        if not any(word.startswith("--from=") for word in words):
            taken += words[:-1]
    return taken


def let_through() -> set[str]:
    """The lines of .dockerignore that take something out of `*`."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}
