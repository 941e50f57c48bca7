"""`sandbox trigger`: have a scenario played in the running sandbox, and tell what came of it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from sandbox.cli.options import examples
from sandbox.lab.scenarios import BY_EVENT, PAYERS, PLAYS, Scenario

if TYPE_CHECKING:  # an HTTP client takes longer to load than the help takes to print
    from sandbox.cli.endpoints import JsonObject, Running


_WIDTH: Final = 76
_NAMES: Final = max(len(one.name) for one in (*PAYERS, *PLAYS))


def help_text() -> str:
    """Every scenario in a line of its own, for `--help`."""
    return "\n".join(
        [
            "[bold]Payers[/] pay one session, --session's or one of their own:",
            *map(_line, PAYERS),
            "",
            "[bold]Others[/] play a piece of business:",
            *map(_line, PLAYS),
            "",
            "[bold]Events[/] by their type play the scenario that brings them about:",
            _types(),
            "",
            examples(
                "sandbox trigger payment.reverted",
                "sandbox trigger short --session cs_01kahz3mfyf2r8q3v1s6w0d9xt",
                "sandbox trigger twice --chain evm --json",
            ),
        ]
    )


def _line(one: Scenario) -> str:
    """Its name, and behind it what it does, in a column of its own."""
    clock = " (moves the clock)" if one.moves_clock else ""
    margin = " " * (_NAMES + 4)
    does = textwrap.fill(
        one.does + clock, _WIDTH, initial_indent=margin, subsequent_indent=margin
    ).lstrip()
    return f"  {one.name:<{_NAMES}}  {does}"


def _types() -> str:
    types = ", ".join(sorted(BY_EVENT))
    return textwrap.fill(types, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def names(incomplete: str) -> list[tuple[str, str]]:
    """What may be triggered, for completion, each with what it does."""
    offered = {one.name: one.does for one in (*PAYERS, *PLAYS)}
    offered |= {type_: f"plays {name}" for type_, name in sorted(BY_EVENT.items())}
    return [one for one in offered.items() if one[0].startswith(incomplete)]


def run(
    running: Running,
    scenario: str,
    session: str | None,
    chain: str | None,
    amount_tiyn: int | None,
) -> JsonObject:
    """What the API answers. Raises `ApiError`."""
    asked: dict[str, Any] = {"scenario": scenario}
    given = {"session": session, "chain": chain, "amount_tiyn": amount_tiyn}
    asked |= {name: value for name, value in given.items() if value is not None}
    found: JsonObject = running.post("/v1/sandbox/triggers", asked)
    return found


def show(answer: JsonObject) -> None:
    """For people."""
    from sandbox.cli.show import out

    for line in answer["did"]:
        out.print(f"[green]✓[/] {line}", highlight=False, soft_wrap=True)
    for event in answer["events"]:
        out.print(f"  [bold]{event['type']}[/] {event['id']}", highlight=False)
    if answer["refused"]:
        out.print(f"  as it should be: {answer['refused']['code']}", highlight=False)
    for type_ in answer["waiting_for"]:
        out.print(f"  [yellow]not told yet:[/] {type_}", highlight=False)
    if answer["session"]:
        out.print(f"  [dim]sandbox explain {answer['session']}  tells why[/]", highlight=False)
