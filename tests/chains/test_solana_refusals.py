"""Every refusal of the token program that we may meet, on a real devnet: number and reason."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts import token
from contracts.solana_mint import TOKEN_2022, MintAuthorities, create_mint, final_size
from sandbox.chains.errors import PaymentRefused
from sandbox.chains.json_rpc import NodeRefused
from sandbox.chains.port import Command
from sandbox.chains.solana import tx
from sandbox.chains.solana.chain import SolanaChain
from sandbox.chains.solana.deploy import deploy
from sandbox.chains.solana.keys import SolanaKeys
from sandbox.chains.solana.rpc import Rpc
from sandbox.chains.solana.wallet import SolanaWallet
from sandbox.core.db import Database
from tests.chains.suite.worlds import SolanaWorld, carry_out

UPDATE_FIELD = bytes.fromhex("dde9312db5cadcc8")
METADATA_INITIALIZE = bytes.fromhex("d2e11ea258b84d8d")


@dataclass
class Ground:
    """A token with two holders, one with 100 units, one frozen with 100."""

    world: SolanaWorld
    keys: SolanaKeys
    rpc: Rpc
    rich: str = ""
    frozen: str = ""

    @property
    def token(self) -> tx.Token:
        return self.world.token

    def account(self, holder: str) -> Pubkey:
        return tx.token_account(Pubkey.from_string(holder), self.token.mint)

    def owner(self, holder: str) -> Pubkey:
        return Pubkey.from_string(holder)

    def move(self, units: int, source: str, to: str, token: tx.Token | None = None) -> Instruction:
        return tx.transfer_units(token or self.token, self.owner(source), self.owner(to), units)

    async def refusal(self, acts: list[Instruction], *signers: Keypair) -> tuple[Any, str]:
        """(the error as the node gives it, the reason that the port tells) of what must fail."""
        tx_id = await self.world.send(self.rich, acts, *signers)
        block = await self.world.confirmed(tx_id)
        [status] = (await self.rpc.call("getSignatureStatuses", [tx_id]))["value"]
        return status["err"]["InstructionError"][1], block.tx_errors[tx_id]


@pytest.fixture
async def ground(solana_rpc: str, database: Database, tmp_path: Path) -> AsyncIterator[Ground]:
    deployment, keys = await deploy(database, solana_rpc, tmp_path / "keys", token.load())
    chain = SolanaChain(solana_rpc, deployment, keys)
    mint = Pubkey.from_string(deployment.config["mint"])
    world = SolanaWorld(solana_rpc, chain, tx.Token(mint, chain.decimals))
    found = Ground(world, keys, Rpc(solana_rpc), await world.holder(), await world.holder())
    for holder in (found.rich, found.frozen):
        done = await carry_out(world, Command("mint", f"iss_{holder[:8]}", holder, 100))
    done = await carry_out(world, Command("freeze", "case_1", found.frozen))
    await world.confirmed(done)
    yield found
    await found.rpc.aclose()
    await world.aclose()
    await chain.aclose()


def custom(code: int) -> dict[str, int]:
    return {"Custom": code}


async def test_more_units_than_there_are(ground: Ground) -> None:
    act = ground.move(101, ground.rich, ground.rich)
    assert await ground.refusal([act]) == (custom(1), "insufficient funds")
    burned = tx.burn(ground.token, ground.owner(ground.rich), 101)
    assert await ground.refusal([burned]) == (custom(1), "insufficient funds")


async def test_an_account_of_another_mint(ground: Ground) -> None:
    key, mint = ground.keys.fee_payer, Keypair()
    spec, me = token.load(), ground.keys.fee_payer.pubkey()
    rent = await ground.rpc.call("getMinimumBalanceForRentExemption", final_size(spec))
    may = MintAuthorities(me, me, me, me, me)
    other = tx.Token(mint.pubkey(), spec.decimals)
    rich = ground.owner(ground.rich)
    made = [
        *create_mint(spec, me, mint.pubkey(), may, rent),
        tx.create_token_account(me, rich, other),
    ]
    await ground.world.confirmed(await ground.world.send(ground.rich, made, key, mint))
    act = ground.move(1, ground.rich, ground.rich)
    to = AccountMeta(tx.token_account(rich, mint.pubkey()), False, True)
    wrong = Instruction(act.program_id, act.data, [*act.accounts[:2], to, act.accounts[3]])
    assert await ground.refusal([wrong]) == (custom(3), "another mint")


async def test_a_key_without_the_right(ground: Ground) -> None:
    token_, rich = ground.token, ground.owner(ground.rich)
    [treasury] = ground.world.chain.own_addresses()
    usual = ground.account(ground.rich)
    acts = {
        "mint": tx.mint_to(token_, rich, rich, 1),
        "freeze": tx.freeze(token_, usual, rich),
        "thaw": tx.thaw(token_, ground.account(ground.frozen), rich),
        "pause": tx.pause(token_, rich),
        "take": tx.take_units(token_, ground.account(treasury), rich, rich, 0),
        "rotate": tx.set_authority(token_, 8, rich, rich),
    }
    for name, act in acts.items():
        error, why = await ground.refusal([act])
        assert (name, why) == (name, "wrong authority"), error
        assert error == custom(4)
    # The mint authority may make units, and not unmake those of others.
    burned = tx.burn(token_, rich, 1)
    issuer = ground.keys.first("mint_authority")
    by_issuer = Instruction(
        TOKEN_2022, burned.data, [*burned.accounts[:2], AccountMeta(issuer.pubkey(), True, False)]
    )
    assert await ground.refusal([by_issuer], issuer) == (custom(4), "wrong authority")


async def test_an_account_that_still_holds_units_is_not_closed(ground: Ground) -> None:
    rich = ground.owner(ground.rich)
    accounts = [
        AccountMeta(ground.account(ground.rich), False, True),
        AccountMeta(rich, False, True),
        AccountMeta(rich, True, False),
    ]
    act = Instruction(TOKEN_2022, b"\x09", accounts)
    assert await ground.refusal([act]) == (custom(0xB), "account not empty")


async def test_freezing_or_thawing_twice(ground: Ground) -> None:
    freezer = ground.keys.first("freeze_authority")
    again = tx.freeze(ground.token, ground.account(ground.frozen), freezer.pubkey())
    assert await ground.refusal([again], freezer) == (custom(0xD), "invalid state")
    again = tx.thaw(ground.token, ground.account(ground.rich), freezer.pubkey())
    assert await ground.refusal([again], freezer) == (custom(0xD), "invalid state")


async def test_an_authority_that_a_mint_does_not_have(ground: Ground) -> None:
    rich = ground.owner(ground.rich)
    act = tx.set_authority(ground.token, 3, rich, rich)  # who may close an account
    assert await ground.refusal([act]) == (custom(0xF), "unsupported authority")


async def test_a_frozen_account_neither_gives_nor_takes(ground: Ground) -> None:
    token_, frozen, rich = ground.token, ground.owner(ground.frozen), ground.owner(ground.rich)
    issuer, bailiff = (ground.keys.first(r) for r in ("mint_authority", "permanent_delegate"))
    account = ground.account(ground.frozen)
    for acts, signers in (
        ([ground.move(1, ground.rich, ground.frozen)], []),
        ([ground.move(1, ground.frozen, ground.rich)], [ground.world.key(ground.frozen)]),
        ([tx.mint_to(token_, frozen, issuer.pubkey(), 1)], [issuer]),
        ([tx.burn(token_, frozen, 1)], [ground.world.key(ground.frozen)]),
        # The permanent delegate neither.
        ([tx.take_units(token_, account, rich, bailiff.pubkey(), 1)], [bailiff]),
    ):
        assert await ground.refusal(acts, *signers) == (custom(0x11), "frozen")


async def test_wrong_decimals(ground: Ground) -> None:
    wrong = replace(ground.token, decimals=ground.token.decimals + 1)
    act = ground.move(1, ground.rich, ground.rich, wrong)
    assert await ground.refusal([act]) == (custom(0x12), "wrong decimals")


async def test_a_plain_transfer(ground: Ground) -> None:
    moved = ground.move(1, ground.rich, ground.rich)
    plain = Instruction(
        TOKEN_2022, bytes([3]) + moved.data[1:9], [moved.accounts[i] for i in (0, 2, 3)]
    )
    assert await ground.refusal([plain]) == (custom(0x1F), "unchecked transfer")


async def test_an_associated_account_keeps_its_owner(ground: Ground) -> None:
    act = Instruction(
        TOKEN_2022,
        bytes([6, 2, 1]) + bytes(ground.owner(ground.frozen)),
        [
            AccountMeta(ground.account(ground.rich), False, True),
            AccountMeta(ground.owner(ground.rich), True, False),
        ],
    )
    assert await ground.refusal([act]) == (custom(0x22), "immutable owner")


async def test_nothing_moves_while_paused_and_the_rest_works(ground: Ground) -> None:
    token_, rich = ground.token, ground.owner(ground.rich)
    issuer, bailiff, freezer = (
        ground.keys.first(role)
        for role in ("mint_authority", "permanent_delegate", "freeze_authority")
    )
    await ground.world.confirmed(await carry_out(ground.world, Command("pause", "case_2")))
    account = ground.account(ground.rich)
    for acts, signers in (
        ([ground.move(1, ground.rich, ground.rich)], []),
        ([tx.mint_to(token_, rich, issuer.pubkey(), 1)], [issuer]),
        ([tx.burn(token_, rich, 1)], []),
        ([tx.take_units(token_, account, rich, bailiff.pubkey(), 1)], [bailiff]),
    ):
        assert await ground.refusal(acts, *signers) == (custom(0x43), "paused")
    newcomer = Keypair().pubkey()
    works = [
        tx.create_token_account(rich, newcomer, token_),
        tx.freeze(token_, account, freezer.pubkey()),
        tx.thaw(token_, account, freezer.pubkey()),
        tx.set_authority(token_, 0, issuer.pubkey(), issuer.pubkey()),
        tx.pause(token_, ground.keys.first("pause_authority").pubkey()),
    ]
    pauser = ground.keys.first("pause_authority")
    done = await ground.world.send(ground.rich, works, freezer, issuer, pauser)
    assert done not in (await ground.world.confirmed(done)).tx_errors


async def test_a_stranger_changes_no_text_of_the_token(ground: Ground) -> None:
    rich = ground.owner(ground.rich)
    value = b"\x04\0\0\0Mine"
    update = Instruction(
        TOKEN_2022,
        UPDATE_FIELD + b"\0" + value,
        [AccountMeta(ground.token.mint, False, True), AccountMeta(rich, True, False)],
    )
    assert await ground.refusal([update]) == (custom(0x35C2B5C0), "wrong authority")


async def test_only_the_mint_authority_gives_a_token_its_text(ground: Ground) -> None:
    mint, spec, rich = Keypair(), token.load(), ground.owner(ground.rich)
    other = Keypair()
    rent = await ground.rpc.call("getMinimumBalanceForRentExemption", final_size(spec))
    may = MintAuthorities(other.pubkey(), rich, rich, rich, rich)
    made = create_mint(spec, rich, mint.pubkey(), may, rent)
    assert made[-1].data.startswith(METADATA_INITIALIZE)
    by_rich = [*made[-1].accounts[:3], AccountMeta(rich, True, False)]
    made[-1] = Instruction(TOKEN_2022, made[-1].data, by_rich)
    assert await ground.refusal(made, mint) == (custom(0x35C2B5BF), "wrong authority")


async def test_an_account_that_nobody_made(ground: Ground) -> None:
    act = ground.move(1, ground.rich, str(Keypair().pubkey()))
    assert await ground.refusal([act]) == ("IncorrectProgramId", "no token account")


async def test_an_account_that_is_there_already(ground: Ground) -> None:
    rich = ground.owner(ground.rich)
    made = tx.create_token_account(rich, rich, ground.token)
    strict = Instruction(made.program_id, b"\0", made.accounts)
    assert await ground.refusal([strict]) == ("IllegalOwner", "token account exists")


async def test_more_coin_than_there_is(ground: Ground) -> None:
    rich = ground.owner(ground.rich)
    act = tx.give_sol(rich, rich, 10**15)
    assert await ground.refusal([act]) == (custom(1), "insufficient lamports")


async def test_a_payer_whom_the_chain_does_not_know(ground: Ground, solana_rpc: str) -> None:
    nobody = SolanaWallet(solana_rpc, Keypair())
    with pytest.raises(PaymentRefused, match="unknown payer"):
        await nobody.send([tx.memo("hello")])
    answer = (await ground.rpc.call("getLatestBlockhash"))["value"]
    hash_ = Hash.from_string(answer["blockhash"])
    signed = tx.sign([tx.memo("hello")], [Keypair()], hash_, answer["lastValidBlockHeight"])
    raw = base64.b64encode(signed.raw).decode()
    with pytest.raises(NodeRefused) as refused:
        await ground.rpc.call("sendTransaction", raw, {"encoding": "base64"})
    assert (refused.value.code, refused.value.data["logs"]) == (-32002, [])
    await nobody.aclose()
