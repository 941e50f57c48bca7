"""What unmodified clients sign as typed data, the token takes; what must not count, it refuses by
name, whoever signed it and in both forms of each call."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from contracts import evm, token
from sandbox.chains.evm.tx import WEI_PER_COIN
from tests.chains.suite.worlds import EvmWorld, funded
from tests.clients.evm_clients import CLIENTS, run, traffic
from tests.contracts.evm.world import STRUCTS

FAR = 2**48
SHOP = Account.from_key(keccak(text="shop")).address
USED, BAD = "kzte: authorization is used", "kzte: invalid signature"


@dataclass
class Script:
    """Steps for a client, and what has to become of each: `None` or the refusal."""

    owner: str
    sender: Any = field(default_factory=Account.create)
    steps: list[dict[str, Any]] = field(default_factory=list)
    expected: list[str | None] = field(default_factory=list)

    def pay(
        self,
        refusal: str | None,
        form: str,
        nonce: str,
        *,
        units: int = 10,
        after: int = 0,
        before: int = FAR,
        spoil: str = "none",
        receive_to: str | None = None,
    ) -> None:
        """To the shop by anyone's hand, or to `receive_to`, who must be the sender."""
        message = {
            "from": self.owner,
            "to": receive_to or SHOP,
            "value": str(units),
            "validAfter": str(after),
            "validBefore": str(before),
            "nonce": "0x" + keccak(text=nonce).hex(),
        }
        struct = "ReceiveWithAuthorization" if receive_to else "TransferWithAuthorization"
        self._add(refusal, struct, form, message, spoil)

    def cancel(self, refusal: str | None, form: str, nonce: str) -> None:
        message = {"authorizer": self.owner, "nonce": "0x" + keccak(text=nonce).hex()}
        self._add(refusal, "CancelAuthorization", form, message, "none")

    def permit(
        self,
        refusal: str | None,
        form: str,
        units: int,
        *,
        until: int = FAR,
        spoil: str = "none",
        nonce: int | None = None,
    ) -> None:
        """`nonce` None: the client asks the token for the next one."""
        message = {
            "owner": self.owner,
            "spender": SHOP,
            "value": str(units),
            "deadline": str(until),
        }
        self._add(refusal, "Permit", form, message, spoil, nonce)

    def _add(
        self,
        refusal: str | None,
        struct: str,
        form: str,
        message: dict[str, str],
        spoil: str,
        nonce: int | None = None,
    ) -> None:
        self.steps.append(
            {"struct": struct, "form": form, "message": message, "spoil": spoil, "nonce": nonce}
        )
        self.expected.append(refusal)


async def play(
    world: EvmWorld, rpc: str, client: str, holder: str, script: Script, folder: Path
) -> dict[str, Any]:
    """Let the client play the script; fails where a step ended otherwise than it had to."""
    await world.node.call("anvil_setBalance", script.sender.address, hex(WEI_PER_COIN))
    jobs = {
        "token": to_checksum_address(world.token),
        "abi": evm.load("kzte").abi,
        "types": {
            struct: [{"name": name, "type": kind} for name, kind in fields]
            for struct, fields in STRUCTS.items()
        },
        "signerKey": "0x" + world.accounts[holder].key.hex().removeprefix("0x"),
        "senderKey": "0x" + script.sender.key.hex().removeprefix("0x"),
        "steps": script.steps,
    }
    path = folder / "jobs.json"
    path.write_text(json.dumps(jobs))
    async with traffic(world):
        told: dict[str, Any] = json.loads(await run(client, "sign", rpc, str(path)))
    found = [outcome["refusal"] for outcome in told["outcomes"]]
    assert found == script.expected
    # What was refused when it was tried failed in its block too.
    assert [o["succeeded"] for o in told["outcomes"]] == [r is None for r in script.expected]
    return told


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_a_client_signs_counts_once_and_in_its_time_only(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await funded(evm_world, 1000)
    script = Script(to_checksum_address(holder))
    for form in ("bytes", "vrs"):
        for spoil in ("high s", "zero"):
            script.pay(BAD, form, form, spoil=spoil)
            script.permit(BAD, form, 7, spoil=spoil)
        script.pay("kzte: authorization is expired", form, form, before=1)
        script.pay("kzte: authorization is not yet valid", form, form, after=FAR, before=FAR + 1)
        script.permit("kzte: permit is expired", form, 7, until=1)
        script.pay("kzte: transfer amount exceeds balance", form, form, units=1001)
        script.pay(None, form, form)
        script.pay(USED, form, form)
        script.pay(USED, form, form, units=11)
        script.permit(None, form, 7)
        script.permit(BAD, form, 7, nonce=0)
    script.pay(BAD, "bytes", "compact", spoil="compact")
    script.permit(BAD, "bytes", 7, spoil="compact")
    told = await play(evm_world, evm_rpc, client, holder, script, tmp_path)
    spec = token.load()
    assert told["domain"] == {
        "name": spec.name,
        "version": spec.evm.version,
        "chainId": 31337,
        "verifyingContract": to_checksum_address(evm_world.token),
    }
    assert await evm_world.wallet(holder).units(evm_world.token) == 1000 - 2 * 10


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_payee_takes_what_was_signed_for_it_alone_and_a_payer_cancels_what_is_unused(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder = await funded(evm_world, 1000)
    script = Script(to_checksum_address(holder))
    payee = script.sender.address
    for form in ("bytes", "vrs"):
        script.pay("kzte: caller is not the payee", form, form, receive_to=SHOP)
        script.pay(None, form, form, receive_to=payee)
        script.pay(USED, form, form, receive_to=payee)
        script.cancel(USED, form, form)
        script.cancel(None, form, f"canceled {form}")
        script.cancel(USED, form, f"canceled {form}")
        script.pay(USED, form, f"canceled {form}")
    await play(evm_world, evm_rpc, client, holder, script, tmp_path)
    assert await evm_world.wallet(holder).units(evm_world.token) == 1000 - 2 * 10


@pytest.mark.parametrize("client", CLIENTS)
async def test_what_a_client_signs_for_another_is_refused(
    evm_world: EvmWorld, evm_rpc: str, tmp_path: Path, client: str
) -> None:
    holder, victim = await funded(evm_world, 1000), await funded(evm_world, 1000)
    script = Script(to_checksum_address(victim))
    for form in ("bytes", "vrs"):
        script.pay(BAD, form, form)
        script.permit(BAD, form, 7)
    await play(evm_world, evm_rpc, client, holder, script, tmp_path)
    assert await evm_world.wallet(victim).units(evm_world.token) == 1000
