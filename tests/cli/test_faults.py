"""`sandbox faults` on a Solana devnet alone: verbs reach it, and what cannot be is refused."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import VersionedTransaction
from typer.testing import CliRunner

from sandbox.cli.commands import app
from sandbox.cli.endpoints import Running
from sandbox.cli.fault_control import FaultRefused
from tests.chains import solana_node
from tests.devnets.solana.chain import SOL, move

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def rpc_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with solana_node.running(tmp_path_factory.mktemp("solana")) as url:
        yield url


@pytest.fixture
def ask(rpc_url: str) -> Ask:
    """A call to the chain itself."""

    def asked(method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx2.post(rpc_url, json=body).json()["result"]

    return asked


@pytest.fixture
def faults(rpc_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """`sandbox faults <verb> --chain solana …`: its answer, or what it raised."""
    found = Running({"api": "http://127.0.0.1:9", "solana_rpc": rpc_url})
    monkeypatch.setattr(Running, "of", lambda _data_dir: found)

    def run(verb: str, *more: str, chain: str = "solana") -> Any:
        words = ["faults", verb, "--chain", chain, *more, "--data-dir", str(tmp_path), "--json"]
        done = CliRunner().invoke(app, words)
        if done.exception is not None:
            raise done.exception
        return json.loads(done.output)

    yield run
    run("clear")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("reorg", "--keep", "--share", "5"), "one of them"),
        (("reorg", "--spread", "2"), "goes with"),
        (("reorg", "--blocks", "500"), "what is final is kept unless"),
        (("reorg", "--blocks", "500", "--force"), "the undo of older blocks is gone"),
        (("rpc", "stale", "9999"), "slots must be"),
        (("rpc", "stale", "5", "--calls", "2"), "stale is for all methods"),
        (("rpc", "hang", "5"), "takes no"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    ask: Ask, faults: Ask, words: tuple[str, ...], why: str
) -> None:
    if ask("getSlot", {"commitment": "processed"}) < 600:
        faults("step", "--blocks", "600")
    with pytest.raises(FaultRefused, match=why):
        faults(*words)


@pytest.mark.parametrize(
    "words",
    [("reorg", "--share", "5"), ("reorg", "--tx", "x"), ("reorg", "--keep", "--spread", "2"),
     ("reorg", "--replace", "AA"), ("rpc", "stale", "5"), ("keep-undo", "5"), ("expire",)],
)  # fmt: skip
def test_what_evm_cannot_do_is_refused_by_name(faults: Ask, words: tuple[str, ...]) -> None:
    with pytest.raises(FaultRefused):
        faults(*words, chain="evm")


def test_blocks_are_stepped_replaced_and_their_transactions_chosen(ask: Ask, faults: Ask) -> None:
    faults("pause")
    payer, thief = Keypair(), Keypair().pubkey()
    ask("requestAirdrop", str(payer.pubkey()), SOL)
    faults("step", "--blocks", "2")
    latest = ask("getLatestBlockhash", {"commitment": "processed"})["value"]["blockhash"]

    def signed(lamports: int) -> str:
        message = Message.new_with_blockhash(
            [move(payer, thief, lamports)], payer.pubkey(), Hash.from_string(latest)
        )
        return base64.b64encode(bytes(VersionedTransaction(message, [payer]))).decode()

    sent = [
        ask("sendTransaction", signed(n * SOL // 10), {"encoding": "base64"}) for n in (1, 2, 3)
    ]
    height = faults("step")["height"]
    assert ask("getSlot", {"commitment": "processed"}) == height
    done = faults("reorg", "--tx", sent[2], "--replace", signed(SOL // 2), "--spread", "2")
    assert (done["transactions"], done["included_again"]) == (3, 1)
    assert [each["err"] for each in done["replacements"]] == [None]
    faults("step")
    held = ask("getBalance", str(thief), {"commitment": "confirmed"})["value"]
    assert held == 8 * SOL // 10
    assert faults("reorg", "--share", "0", "--blocks", "3")["included_again"] == 0


def test_faults_of_the_door_and_of_sending_are_set_shown_and_ended(faults: Ask) -> None:
    faults("step", "--blocks", "40")
    faults("keep-undo", "12")
    faults("double", "--copies", "3")
    shown = faults("rpc", "stale", "5")["solana"]
    assert (shown["rpc"], shown["copies"], shown["undo"]) == (
        {"kind": "stale", "slots": 5}, 3, 12,
    )  # fmt: skip
    fault = {"kind": "error", "status": 429, "calls": 2, "method": "getSlot"}
    shown = faults("rpc", "error", "429", "--calls", "2", "--method", "getSlot")["solana"]
    assert shown["rpc"] == fault
    cleared = faults("clear")["solana"]
    assert (cleared["rpc"], cleared["copies"], cleared["undo"]) == ({"kind": "off"}, 0, 0)
