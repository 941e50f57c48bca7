"""`sandbox trigger`: have a scenario played in the running sandbox, and tell what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.lab.scenarios import BY_EVENT, PAYERS, PLAYS, Scenario

if TYPE_CHECKING:  # an HTTP client takes longer to load than the help takes to print
    from sandbox.cli.endpoints import JsonObject, Running


def help_text() -> str:
    """Every scenario in a line of its own, for `--help`."""
    return "\n".join(
        [
            "Payers pay one session, --session's or one of their own:",
            *map(_line, PAYERS),
            "The others play a piece of business:",
            *map(_line, PLAYS),
            "Or name an event's type; its scenario is played:",
            ", ".join(sorted(BY_EVENT)),
            "$ sandbox trigger payment.reverted",
            "$ sandbox trigger short --chain evm --json",
        ]
    )


def _line(one: Scenario) -> str:
    clock = " (moves the clock)" if one.moves_clock else ""
    return f"  {one.name}: {one.does}{clock}"


def names() -> list[str]:
    """What may be triggered, for completion."""
    return [one.name for one in (*PAYERS, *PLAYS)] + sorted(BY_EVENT)


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
