"""The commands of a developer's day: `listen`, `events`, `logs` and `open`. Each imports only what
it needs, when it runs.
"""

import re
from datetime import datetime
from typing import Annotated, Any

import typer

from sandbox.cli import completion
from sandbox.cli.options import (
    HOME,
    AsJson,
    AsLines,
    DataDir,
    Format,
    Key,
    Role,
    examples,
)

_PATTERN = re.compile(r"\*|[a-z_]+(?:\.[a-z_]+)*(?:\.\*)?")

events_app = typer.Typer(
    no_args_is_help=True,
    help="Read events, or have them sent again.",
    epilog=examples(
        "sandbox events list --type 'payment.*'",
        "sandbox events get evt_01kahz3mfyf2r8q3v1s6w0d9xt",
        "sandbox events resend evt_01kahz3mfyf2r8q3v1s6w0d9xt",
    ),
)
logs_app = typer.Typer(
    no_args_is_help=True,
    help="What was asked of the API, and its answers.",
    epilog=examples(
        "sandbox logs tail  # as they are answered",
        "sandbox logs tail --status 4xx --no-follow",
        "sandbox logs show req_4f2c9d1e8b7a605f3c2d1e0f",
    ),
)


def _event_types(name: str) -> Any:
    return typer.Option(
        name,
        help="Types or groups, such as payment.*; with commas, or again and again.",
        metavar="TYPES",
        autocompletion=completion.event_types,
    )


def patterns(given: list[str] | None) -> list[str]:
    """Types and groups from options; all without one. What matches no type is a usage error."""
    from fnmatch import fnmatchcase

    found = [part.strip() for one in given or ["*"] for part in one.split(",") if part.strip()]
    for one in found:
        if _PATTERN.fullmatch(one) and any(fnmatchcase(type_, one) for type_ in completion.types()):
            continue
        from difflib import get_close_matches

        near = get_close_matches(one, completion.types(), 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "docs/events.md lists all types"
        raise typer.BadParameter(f"no event type is called {one!r}: {hint}")
    return found


def check_caller(role: str, key: str | None) -> None:
    """A key says who asks: with another role it would be passed over."""
    if key is not None and role != "merchant":
        raise typer.BadParameter("--key is a merchant's and goes without --role")


LISTEN_EXAMPLES = examples(
    "sandbox listen  # print what happens from now on",
    "sandbox listen --forward-to localhost:3000/hooks",
    "sandbox listen --forward-to 3000/hooks --events 'payment.*,refund.*'",
    "sandbox listen --forward-to 3000/hooks --print-secret  # to verify with",
    "sandbox listen --since beginning --format json | jq -r .type",
)


def listen(
    forward_to: Annotated[
        str | None,
        typer.Option(
            help="Where your webhook handler listens: a URL, host:port/path, or port/path.",
            metavar="URL",
        ),
    ] = None,
    events: Annotated[list[str] | None, _event_types("--events")] = None,
    headers: Annotated[
        list[str] | None,
        typer.Option(help="Add a header, 'Name: value'; may be repeated.", metavar="HEADER"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Begin with this event: evt_…, a sequence (operator, regulator: a position),"
            " beginning, or now. Default: where this listener stopped; a new one begins now.",
            metavar="EVENT",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The listener's name, for its secret and its place. Default: one for each URL.",
        ),
    ] = None,
    skip_refused: Annotated[
        bool,
        typer.Option(
            "--skip-refused",
            help="Go on after an answer that is not 2xx; else the event is tried until it is one.",
        ),
    ] = False,
    skip_verify: Annotated[
        bool, typer.Option("--skip-verify", help="Take any certificate of an https:// receiver.")
    ] = False,
    print_secret: Annotated[
        bool, typer.Option("--print-secret", help="Print the signing secret, and end.")
    ] = False,
    role: Role = "merchant",
    key: Key = None,
    format_: Format = "text",
    as_json: AsLines = False,
    data_dir: DataDir = HOME,
) -> None:
    """Show events as they happen, and forward them to your machine as signed webhooks.

    Each event is posted until the receiver answers 2xx, in order. None is
    left out: restarts of the sandbox, the receiver and this command are
    survived; a gap is told and filled. After a kill one may come twice:
    drop repeats by webhook-id. Ctrl-C ends it, the next run goes on.
    """
    wanted = patterns(events)
    check_caller(role, key)
    if print_secret and forward_to is None and name is None:
        raise typer.BadParameter("--print-secret goes with --forward-to or --name")
    if forward_to is None and (headers or skip_refused or skip_verify):
        raise typer.BadParameter("--headers, --skip-refused and --skip-verify go with --forward-to")
    from sandbox.cli import listen as command

    try:
        url = None if forward_to is None else command.receiver(forward_to)
        added = command.added(headers or [])
    except (command.BadForwardUrl, command.BadHeader) as error:
        raise typer.BadParameter(error.detail) from None
    asked = command.Asked(
        data_dir=data_dir,
        forward_to=url,
        events=wanted,
        headers=added,
        since=since,
        name=name,
        role=role,
        key=key,
        as_json=as_json or format_ == "json",
        skip_refused=skip_refused,
        skip_verify=skip_verify,
    )
    raise typer.Exit(command.print_secret(asked) if print_secret else command.run(asked))


@events_app.command(
    "list",
    epilog=examples(
        "sandbox events list  # the newest 20",
        "sandbox events list --type 'payment.*' --limit 5",
        "sandbox events list --object cs_01kahz3mfyf2r8q3v1s6w0d9xt",
        "sandbox events list --after 0 --limit 100 --json  # from the first one",
        "sandbox events list --role operator  # everybody's",
    ),
)
def events_list(
    type_: Annotated[list[str] | None, _event_types("--type")] = None,
    object_: Annotated[
        str | None,
        typer.Option(
            "--object",
            help="Only what happened to this object: its id.",
            metavar="ID",
            autocompletion=completion.sessions,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many at most.")] = 20,
    after: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Oldest first, behind this sequence (operator, regulator: position). Default: the"
            " newest.",
        ),
    ] = None,
    role: Role = "merchant",
    key: Key = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """List events: sequence or position, sandbox time (UTC), type, id."""
    wanted = patterns(type_)
    check_caller(role, key)
    from sandbox.cli import events

    raise typer.Exit(events.list_(data_dir, wanted, object_, limit, after, role, key, as_json))


@events_app.command(
    "get",
    epilog=examples(
        "sandbox events get evt_01kahz3mfyf2r8q3v1s6w0d9xt",
        "sandbox events get evt_01kahz3mfyf2r8q3v1s6w0d9xt --json | jq .data",
    ),
)
def events_get(
    event: Annotated[
        str, typer.Argument(help="An event, evt_…", autocompletion=completion.event_ids)
    ],
    role: Role = "merchant",
    key: Key = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Show one event whole."""
    check_caller(role, key)
    from sandbox.cli import events

    raise typer.Exit(events.get(data_dir, event, role, key, as_json))


@events_app.command(
    "resend",
    epilog=examples(
        "sandbox events resend evt_01kahz3mfyf2r8q3v1s6w0d9xt",
        "sandbox events resend --after-sequence 40 --to-sequence 60",
        "sandbox events resend --type 'payment.*' --from 2026-11-20T09:00:00Z",
        "sandbox events resend evt_01kahz3mfyf2r8q3v1s6w0d9xt --endpoint we_01kahz3…",
    ),
)
def events_resend(
    events: Annotated[
        list[str] | None,
        typer.Argument(help="Events, evt_…", autocompletion=completion.event_ids),
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="All of a type or a group.",
            metavar="TYPE",
            autocompletion=completion.event_types,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Since this sandbox time (ISO 8601).", metavar="TIME"),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Until this sandbox time (ISO 8601).", metavar="TIME")
    ] = None,
    after_sequence: Annotated[
        int | None, typer.Option(min=0, help="All behind this sequence …")
    ] = None,
    to_sequence: Annotated[int | None, typer.Option(min=1, help="… up to this one.")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            help="To this webhook endpoint only, we_…; default: to all.",
            metavar="ID",
            autocompletion=completion.endpoints,
        ),
    ] = None,
    key: Key = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Send events again, to webhook endpoints and to whoever listens: by id, type or range."""
    by_time = type_ is not None or from_ is not None or to is not None
    by_number = after_sequence is not None or to_sequence is not None
    if bool(events) + by_time + by_number != 1:
        raise typer.BadParameter(
            "say which: ids, or --type, --from and --to, or --after-sequence and --to-sequence"
        )
    if any(not one.startswith("evt_") for one in events or ()):
        raise typer.BadParameter("an event's id begins with evt_")
    asked: dict[str, object] = {"events": events} if events else {}
    for moment in (from_, to):
        try:
            datetime.fromisoformat(moment or "2026-11-20T00:00:00Z")
        except ValueError:
            raise typer.BadParameter(f"{moment!r} is no time: 2026-11-20T09:00:00Z") from None
    if by_time:
        if type_ is not None and len(patterns([type_])) != 1:
            raise typer.BadParameter("one type, or one group such as payment.*")
        asked = {"type": type_, "from": from_, "to": to}
    if by_number:
        asked = {"after_sequence": after_sequence, "to_sequence": to_sequence}
    asked = {name: value for name, value in asked.items() if value is not None}
    if endpoint is not None:
        asked["endpoint"] = endpoint
    from sandbox.cli import events as command

    raise typer.Exit(command.resend(data_dir, asked, key, as_json))


@logs_app.command(
    "tail",
    epilog=examples(
        "sandbox logs tail",
        "sandbox logs tail --status 4xx --method POST",
        "sandbox logs tail --path /v1/refunds --format json | jq .code",
    ),
)
def logs_tail(
    method: Annotated[
        str | None, typer.Option(help="Only requests of this method.", metavar="METHOD")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="Only answers like 404 or 4xx.", metavar="STATUS")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Only paths that begin so.", metavar="PATH")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, max=100, help="So many older ones come first.")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for more.")] = True,
    role: Role = "merchant",
    key: Key = None,
    format_: Format = "text",
    as_json: AsLines = False,
    data_dir: DataDir = HOME,
) -> None:
    """Show requests to the API as they are answered: time, status, method, path, duration, id."""
    if status is not None and not re.fullmatch(r"[1-5](xx|[0-9][0-9])", status):
        raise typer.BadParameter(f"{status!r} is no status: write 404 or 4xx")
    check_caller(role, key)
    from sandbox.cli import logs

    wanted = {"method": method and method.upper(), "status": status, "path": path}
    asked = {name: value for name, value in wanted.items() if value}
    is_json = as_json or format_ == "json"
    raise typer.Exit(logs.tail(data_dir, asked, limit, follow, role, key, is_json))


@logs_app.command(
    "show",
    epilog=examples(
        "sandbox logs show req_4f2c9d1e8b7a605f3c2d1e0f",
        "sandbox logs show req_4f2c9d1e8b7a605f3c2d1e0f --json | jq .request_body",
    ),
)
def logs_show(
    request: Annotated[
        str,
        typer.Argument(
            help="A Request-Id, req_…, as every answer has it.",
            autocompletion=completion.request_ids,
        ),
    ],
    role: Role = "merchant",
    key: Key = None,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Show one request with its body and its answer; secrets are left out."""
    check_caller(role, key)
    from sandbox.cli import logs

    raise typer.Exit(logs.show_one(data_dir, request, role, key, as_json))


OPEN_EXAMPLES = examples(
    "sandbox open  # the list of pages",
    "sandbox open docs",
    "sandbox open checkout  # the payment page of the newest open session",
    "sandbox open docs --no-browser  # print the address only",
)


def open_(
    page: Annotated[
        str | None,
        typer.Argument(
            help="A page, or a checkout session, cs_…; without one all are listed.",
            autocompletion=completion.pages,
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open it, or print it only.")
    ] = True,
    data_dir: DataDir = HOME,
    as_json: AsJson = False,
) -> None:
    """Open a page of the running sandbox in the browser, and print its address."""
    from sandbox.cli import pages

    if page is None:
        raise typer.Exit(pages.list_(data_dir, as_json))
    if page not in completion.PAGES and not page.startswith("cs_"):
        known = ", ".join(completion.PAGES)
        raise typer.BadParameter(f"there is no page {page!r}: {known}, or a session, cs_…")
    raise typer.Exit(pages.open_(data_dir, page, browser, as_json))
