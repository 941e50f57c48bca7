"""What `--help` teaches: every command says what it does, with examples that would run."""

import re
import shlex
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sandbox.cli.commands import app
from sandbox.devnets.evm import __main__ as evm
from sandbox.devnets.solana import __main__ as solana

ROOT: Any = typer.main.get_command(app)
# Programs of their own, which read their options themselves.
OWN = ("devnet solana", "devnet evm")


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, found in group.commands.items():
        if hasattr(found, "commands"):
            yield from walk(found, (*path, name))
        else:
            yield " ".join((*path, name)), found


COMMANDS = dict(walk(ROOT))
TAUGHT = [name for name in COMMANDS if name not in OWN]


def typed(command: Any) -> list[str]:
    """The example lines of a command's help, as a person would type them."""
    text = re.sub(r"(?<!\\)\[/?[a-z ]*\]", "", command.epilog or "").replace("\\[", "[")
    lines = [line for line in text.splitlines() if line.startswith("$ ")]
    return [line[2:].partition("  # ")[0] for line in lines]


def calls(line: str) -> Iterator[list[str]]:
    """The calls of `sandbox` in a line of shell."""
    line = re.sub(r'^eval "\$\((.*)\)"$', r"\1", line)
    for part in re.split(r"\s(?:\||&&)\s", line):
        words = shlex.split(part)
        if words[0] == "sandbox":
            yield words[1:]


def check(arguments: list[str]) -> str:
    """Parse as the command line does; answers the command. Raises what a wrong use raises."""
    context = ROOT.make_context("sandbox", list(arguments))
    rest, group, path = [*context._protected_args, *context.args], ROOT, []
    while hasattr(group, "commands"):
        name, group, rest = group.resolve_command(context, rest)
        path.append(name)
        context = group.make_context(name, list(rest), parent=context)
        rest = [*context._protected_args, *context.args]
    return " ".join(path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_in_a_line(name: str) -> None:
    first = (COMMANDS[name].help or "").split("\n\n")[0]
    assert 10 < len(first) < 160
    assert first.rstrip().endswith(".")


@pytest.mark.parametrize("name", TAUGHT)
def test_every_command_has_examples_that_parse(name: str) -> None:
    lines = typed(COMMANDS[name])
    assert lines, f"sandbox {name} --help shows no example"
    used = [check(arguments) for line in lines for arguments in calls(line)]
    assert name in used
    assert max(map(len, lines)) <= 76


def groups(found: Any) -> Iterator[Any]:
    for one in found.commands.values():
        if hasattr(one, "commands"):
            yield one
            yield from groups(one)


@pytest.mark.parametrize("group", list(groups(ROOT)), ids=lambda group: group.name)
def test_every_group_has_examples_of_its_own_that_parse(group: Any) -> None:
    lines = typed(group)
    assert lines, f"sandbox {group.name} --help shows no example"
    for line in lines:
        for arguments in calls(line):
            if "--help" not in arguments:
                assert check(arguments).startswith(group.name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_lines_of_a_help_fit_a_terminal_of_eighty_columns_as_they_are_written(
    name: str,
) -> None:
    _, *further = (COMMANDS[name].help or "").split("\n\n")
    assert [line for part in further for line in part.splitlines() if len(line) > 76] == []


@pytest.mark.parametrize("chain", [solana, evm])
def test_a_devnet_has_an_example_that_parses(
    chain: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        chain.arguments(["--help"])
    assert left.value.code == 0
    [example] = re.findall(r"Example: sandbox devnet \w+ (.*(?:\n.*)*)", capsys.readouterr().out)
    assert chain.arguments(shlex.split(example)).json


@pytest.mark.parametrize("name", TAUGHT)
def test_every_command_answers_programs(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert "--json" in options


@pytest.mark.parametrize("name", TAUGHT)
def test_every_option_is_explained(name: str) -> None:
    silent = [one.name for one in COMMANDS[name].params if not getattr(one, "help", None)]
    assert silent == []


def test_an_example_with_an_option_that_is_not_there_is_found() -> None:
    with pytest.raises(Exception, match="--colour"):
        check(["pay", "--colour", "red"])
    with pytest.raises(Exception, match="No such command"):
        check(["payy"])


def test_the_first_help_is_in_groups_with_examples_in_eighty_columns() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})
    assert shown.exit_code == 0
    panels = re.findall(r"^╭─ (.*?) ─", shown.output, re.MULTILINE)
    assert panels[0] == "Options"
    assert "Commands" not in panels, "a command without rich_help_panel"
    assert {"Run", "Develop against it", "Verify", "Time, chains and faults"} <= set(panels)
    assert "$ sandbox up" in shown.output
    assert "Exit status: 0 done, 1 refused or failed, 2 wrong usage." in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["payy"], ["pay", "--colour"], ["clock"], ["events", "x"]])
def test_a_wrong_use_ends_with_status_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
