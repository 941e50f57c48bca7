"""What commands on faults share: the chains' control methods, and how faults are told."""

from pathlib import Path
from typing import Any, Final

from sandbox.cli.options import ChainName
from sandbox.core.errors import SandboxError

TIMEOUT_S: Final = 30.0
_NOT_FOUND: Final = -32601


class FaultRefused(SandboxError):
    """The chain cannot do that, or not now; its own words are passed on."""

    code = "fault_refused"


def control(data_dir: Path, chain: ChainName, method: str, *params: Any) -> dict[str, Any]:
    """What a control method of a running sandbox's chain answers.

    Raises `NotRunning`, `NoAnswer` and `FaultRefused`.
    """
    import httpx2

    from sandbox.cli.endpoints import NoAnswer, Running

    running = Running.of(data_dir)
    running.close()
    url = running.endpoints[f"{chain}_rpc"]
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    try:
        answer = httpx2.post(url, json=body, timeout=TIMEOUT_S, trust_env=False).json()
    except (httpx2.TransportError, ValueError):
        raise NoAnswer(url) from None
    if (error := answer.get("error")) is None:
        result: dict[str, Any] = answer["result"]
        return result
    if error["code"] == _NOT_FOUND and "Method not found" in error["message"]:
        raise FaultRefused(f"{url} takes no faults: only the chains of `sandbox up` do")
    raise FaultRefused(f"{chain}: {error['message'].removeprefix('Invalid params: ')}")


def ms(text: str) -> int:
    from sandbox.cli.duration import milliseconds

    return milliseconds(text)


def show_one(data_dir: Path, chain: ChainName, as_json: bool) -> None:
    show_all({chain: control(data_dir, chain, "sandbox_getFaults")}, as_json)


def say(answer: dict[str, Any], text: str, as_json: bool) -> None:
    import json

    from sandbox.cli import show

    if as_json:
        print(json.dumps(answer), flush=True)
    else:
        show.out.print(f"[green]✓[/] {text}")


def show_all(found: dict[str, dict[str, Any]], as_json: bool) -> None:
    lines = [
        f"{where}: {', '.join(_said(where, set_)) or 'no faults'}" for where, set_ in found.items()
    ]
    say(found, "\n  ".join(lines), as_json)


def _said(where: str, found: dict[str, Any]) -> list[str]:
    if where == "elsewhere":
        return [f"{name} × {times}" for name, times in found.items()]
    return _words(found)


def _words(found: dict[str, Any]) -> list[str]:
    rpc, stick = found["rpc"], found["stick"]
    late = f"RPC lags {rpc.get('ms')} ms"
    said = {
        "lag": late,
        "error": f"RPC answers {rpc.get('status')}",
        "hang": "RPC hangs",
        "stale": f"RPC is {rpc.get('slots')} slots behind",
    }
    words = [said[rpc["kind"]]] if rpc["kind"] in said else []
    if words and "method" in rpc:
        words[0] += f" to {rpc['method']}"
    if words and "calls" in rpc:
        words[0] += f", {rpc['calls']} times more"
    if found["drop"]:
        words.append(f"the next {found['drop']} sends are lost")
    if found["copies"]:
        words.append(f"sends are delivered {found['copies']} times more")
    if found["delayMs"]:
        words.append(f"sends are {found['delayMs']} ms late")
    if stick is not False:
        words.append("sends are stuck" if stick is True else f"sends of {stick} are stuck")
    if found["kept"]:
        words.append(f"{len(found['kept'])} transactions are kept back")
    if found.get("undo"):
        words.append(f"up to {found['undo']} final blocks can be replaced by force")
    if found["finalityHeld"]:
        words.append("nothing becomes final")
    if found["paused"]:
        words.append("no blocks")
    return words
