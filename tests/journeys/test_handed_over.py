"""A customer who pays by handing over whole token accounts; the units lie beside the usual one."""

import asyncio
import base64

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from contracts.solana_mint import TOKEN_2022
from merchants.client import MerchantClient
from sandbox.chains.solana import tx
from sandbox.chains.solana.rpc import Rpc
from sandbox.cli import pay
from sandbox.cli.endpoints import JsonObject, Running

BIG_TIYN = 9_000_000_000
ACCOUNT_BYTES = 170


def hand_over(
    token: tx.Token, treasury: Pubkey, payer: Keypair, rent: int
) -> tuple[list[Instruction], Keypair]:
    """A new token account, filled, and then given to the treasury."""
    account, me = Keypair(), payer.pubkey()
    made = create_account(
        CreateAccountParams(
            from_pubkey=me,
            to_pubkey=account.pubkey(),
            lamports=rent,
            space=ACCOUNT_BYTES,
            owner=TOKEN_2022,
        )
    )
    itself = AccountMeta(account.pubkey(), False, True)
    opened = Instruction(
        TOKEN_2022, b"\x12" + bytes(me), [itself, AccountMeta(token.mint, False, False)]
    )
    usual = tx.transfer_units(token, me, me, BIG_TIYN)
    accounts = [*usual.accounts[:2], itself, *usual.accounts[3:]]
    filled = Instruction(TOKEN_2022, usual.data, accounts)
    # SetAuthority, kind 2: the account's owner.
    given = Instruction(
        TOKEN_2022, b"\x06\x02\x01" + bytes(treasury), [itself, AccountMeta(me, True, False)]
    )
    return [made, opened, filled, given], account


async def give(sandbox: Running, payer: Keypair, session_id: str) -> None:
    rpc = Rpc(sandbox.endpoints["solana_rpc"])
    kzte = sandbox.endpoints["kzte"]
    token = tx.Token(Pubkey.from_string(kzte["solana_mint"]), kzte["decimals"])
    treasury = Pubkey.from_string(kzte["solana_treasury"])
    rent = await rpc.call("getMinimumBalanceForRentExemption", ACCOUNT_BYTES)
    steps, account = hand_over(token, treasury, payer, rent)
    latest = (await rpc.call("getLatestBlockhash", {"commitment": "confirmed"}))["value"]
    blockhash = Hash.from_string(latest["blockhash"])
    signed = tx.sign([tx.memo(session_id), *steps], [payer, account], blockhash, 0)
    raw = base64.b64encode(signed.raw).decode()
    await rpc.call("sendTransaction", raw, {"encoding": "base64", "skipPreflight": True})
    await rpc.aclose()


def issue(sandbox: Running, amount_tiyn: int, recipient: str) -> None:
    deposit = sandbox.post(
        "/v1/reserve/deposits",
        {"amount_tiyn": amount_tiyn, "bank_reference": "handed-over"},
        "issuer",
    )
    asked: JsonObject = {"deposit": deposit["id"], "chain": "solana", "recipient": recipient}
    sandbox.post("/v1/reserve/issuances", asked | {"amount_tiyn": amount_tiyn}, "issuer")


@pytest.mark.long
def test_what_was_handed_over_can_be_settled(sandbox: Running) -> None:
    payer = Keypair()
    issue(sandbox, 3 * BIG_TIYN, str(payer.pubkey()))
    pay.fund(sandbox, "solana", str(payer.pubkey()), 100)
    sandbox.quiesce()
    with MerchantClient(sandbox.endpoints["api"], sandbox.key("merchant")) as shop:
        sessions = [shop.create_session(BIG_TIYN)["id"] for _ in range(2)]
        for session_id in sessions:
            asyncio.run(give(sandbox, payer, session_id))
        sandbox.quiesce()
        assert [shop.session(id_)["status"] for id_ in sessions] == ["complete", "complete"]
        # More than the treasury's usual account holds: the float is 100,000,000 ₸.
        made = shop.settle(sandbox.endpoints["keys"]["merchant_id"])
        sandbox.quiesce()
        settled = shop.get(f"/v1/settlements/{made['id']}")
    assert settled["status"] == "settled"
    assert {burn["status"] for burn in settled["burns"]} == {"burned"}
    report = sandbox.get("/v1/sandbox/audit")
    wrong = [check for check in report["checks"] if not check["ok"]]
    assert not wrong, str(wrong)
