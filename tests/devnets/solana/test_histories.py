"""Random histories of transactions, slots, forks, clocks, kills, restarts and snapshots.

After each step the chain is what a plain model says, at every commitment; after each fork its
accounts are, byte for byte, what a fresh machine gets from the surviving transactions. `pytest -m
soak` plays many.
"""

import base64
import random
import struct
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.devnets.solana.bank import Bank, Depths
from sandbox.devnets.solana.genesis import FAUCET_LAMPORTS
from sandbox.devnets.solana.tokens import NATIVE_MINT, native_mint
from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Refused, move
from tests.devnets.solana.inside import InsideChain
from tests.devnets.solana.model import ISSUER, PURSE_RENT, Block, Deed, Model, Purse, Sent, State

FINALITY = 32
PEOPLE = ["ann", "bob", "cid", "dan"]
LEVELS = ("processed", "confirmed", "finalized")
KINDS = ["move", "open", "mint", "mint", "burn", "pay", "pay", "pay", "freeze", "thaw", "pause",
         "resume", "resume", "close"]  # fmt: skip


class Player:
    """One history on a chain and on its model."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.chain = InsideChain(
            folder, Depths(1, FINALITY), records=self.dice.choice([5, 40, 2_000])
        )
        self.keys = {name: Keypair.from_seed(self.dice.randbytes(32)) for name in (ISSUER, *PEOPLE)}
        self.undo = self.dice.choice([0, 0, 25])  # final blocks that a fork may take
        self.everything: list[Sent] = []
        self.kept: dict[str, Model] = {}
        self.did: Counter[str] = Counter()

    @property
    def bank(self) -> Bank:
        return self.chain.node.bank

    async def found(self) -> None:
        chain = self.chain
        for key in self.keys.values():
            await chain.call("requestAirdrop", str(key.pubkey()), 100 * SOL)
        self.mint = await tokens.make_mint(chain, self.keys[ISSUER])
        await self._keeps_undo()
        await chain.advance(FINALITY + 1)
        state = State(dict.fromkeys(self.keys, 0))
        for name, key in self.keys.items():
            state.lamports[name] = await chain.balance(key.pubkey())
        self.model = Model(
            [
                Block(block.slot, block.height, str(Hash(block.hash)), [], state)
                for block in self.bank.history.blocks[-FINALITY:]
            ]
        )

    # --- steps

    async def step(self) -> None:
        steps = {
            self.sends: 60, self.sends_again: 6, self.advances: 14, self.forks: 6,
            self.moves_clock: 2, self.ends: 4, self.keeps: 2, self.goes_back: 2,
            self.looks_back: 5,
        }  # fmt: skip
        [act] = self.dice.choices(list(steps), list(steps.values()))
        self.did[act.__name__] += 1
        await act()

    def _instruction(self, deed: Deed) -> Instruction:
        boss, one, two = (self.keys[name].pubkey() for name in (ISSUER, deed.one, deed.two))
        mint, amount = self.mint, deed.amount
        return {
            "move": lambda: move(self.keys[deed.one], two, amount),
            "open": lambda: tokens.open_account(boss, one, mint),
            "mint": lambda: tokens.mint_to(mint, one, boss, amount),
            "burn": lambda: tokens.burn(mint, one, boss, amount),
            "pay": lambda: tokens.pay(mint, one, two, amount),
            "freeze": lambda: tokens.freeze(mint, one, boss),
            "thaw": lambda: tokens.freeze(mint, one, boss, thaw=True),
            "pause": lambda: tokens.pause(mint, boss),
            "resume": lambda: tokens.pause(mint, boss, resume=True),
            "close": lambda: tokens.close(mint, one),
        }[deed.kind]()

    def _signed(self) -> Sent:
        one, two = self.dice.sample(PEOPLE, 2)
        deed = Deed(self.dice.choice(KINDS), one, two, self.dice.randrange(1, 1_000))
        if deed.kind == "move" and self.dice.random() < 0.1:
            deed = Deed("move", one, two, 10**6 * SOL)
        age = min(len(self.model.blocks), self.dice.choice([1, 1, 2, 5, 20, 40]))
        blockhash = Hash.from_string(self.model.blocks[-age].hash)
        signer = self.keys[deed.payer]
        # Twice the same under one hash would be one transaction: a memo makes them differ.
        memo = tokens.memo(f"{len(self.everything)}".encode())
        message = Message.new_with_blockhash(
            [memo, self._instruction(deed)], signer.pubkey(), blockhash
        )
        tx = VersionedTransaction(message, [signer])
        return Sent(str(tx.signatures[0]), bytes(tx), deed, str(blockhash))

    async def sends(self) -> None:
        self.everything.append(sent := self._signed())
        await self._send(sent)

    async def sends_again(self) -> None:
        if self.everything:
            await self._send(self.dice.choice(self.everything[-30:]))

    async def _send(self, sent: Sent) -> None:
        skip = self.dice.random() < 0.5
        expected = self.model.takes(sent, keep_failed=skip)
        refused = False
        try:
            await self.chain.send(sent.raw, skipPreflight=skip)
        except Refused:
            refused = True
        assert refused == (expected is None and not skip), sent.deed
        status = await self.chain.status(sent.signature)
        if expected is not None:
            assert status["confirmationStatus"] == "processed", sent.deed
            assert (status["err"] is None) == expected, f"{sent.deed}: {status}"

    async def _seals(self) -> None:
        """What the chain sealed by now is in the model too."""
        known = self.model.blocks[-1].slot
        new = [block for block in self.bank.history.blocks if block.slot > known]
        for block in new:
            self.model.seals(block.slot, block.height, str(Hash(block.hash)))

    async def advances(self) -> None:
        await self.chain.advance(self.dice.choice([1, 1, 1, 2, 5, 33, 160]))
        await self._seals()

    async def forks(self) -> None:
        blocks = self.model.blocks
        final = next(n for n, block in enumerate(blocks) if block.slot == self.model.final)
        asked: dict[str, Any] = {}
        most = len(blocks) - 1 - final
        if self.undo and self.dice.random() < 0.3:
            deepest = min(self.bank.most_reorg(force=True), len(blocks) - 1)
            assert deepest >= most
            most, asked["force"] = deepest, True
        if most < 1:
            return
        slots = asked["slots"] = self.dice.randint(1, most)
        gone = self.model.goes_back(slots)
        mode = self.dice.choice(["drop", "all", "some", "share", "spread", "replace"])
        again = [] if mode in ("drop", "share") else gone
        if mode == "replace":
            first = self._signed()
            if self.model.is_hash_good(first):
                self.everything.append(first)
                asked["replace"] = [base64.b64encode(first.raw).decode()]
                self.model.takes(first, keep_failed=True)
        if mode == "some":
            again = [sent for sent in gone if self.dice.random() < 0.5]
            asked["signatures"] = [sent.signature for sent in again]
        if mode == "share":
            asked |= {"percent": self.dice.randint(0, 100), "seed": self.dice.randint(0, 99)}
        if mode != "drop":
            asked["mode"] = "reinclude"
        if mode == "spread":
            asked["spread"] = self.dice.randint(1, 4)
        await self.chain.call("sandbox_reorg", asked)
        if mode == "share":
            found = await self._statuses(gone)
            again = [sent for sent, status in zip(gone, found, strict=True) if status]
        await self._replays(again, asked.get("spread", 1))
        await self.is_what_a_fresh_machine_gets()

    async def _replays(self, again: list[Sent], spread: int) -> None:
        new = [b for b in self.bank.history.blocks if b.slot > self.model.blocks[-1].slot]
        assert len(new) == spread - 1
        for slot in range(spread):
            share = len(again) * slot // spread, len(again) * (slot + 1) // spread
            for sent in again[slice(*share)]:
                self.model.takes(sent, keep_failed=True)
            if slot < len(new):
                block = new[slot]
                self.model.seals(block.slot, block.height, str(Hash(block.hash)))

    async def moves_clock(self) -> None:
        day_ms = 86_400_000
        await self.chain.call(
            "sandbox_setClock", {"offsetMs": self.dice.randint(-2 * day_ms, 9 * day_ms)}
        )

    async def ends(self) -> None:
        if kill := self.dice.random() < 0.7:
            self.model.loses_open()
        await (self.chain.kill() if kill else self.chain.stop())
        await self.chain.start()
        await self._keeps_undo()
        await self._seals()

    async def _keeps_undo(self) -> None:
        await self.chain.call("sandbox_keepUndo", {"slots": self.undo})

    async def looks_back(self) -> None:
        """A node that is some slots behind says what was so then."""
        blocks = self.model.blocks
        final = next(n for n, block in enumerate(blocks) if block.slot == self.model.final)
        if (most := len(blocks) - 2 - final) < 1:
            return
        behind = self.dice.randint(1, most)
        await self.chain.call("sandbox_setRpcFault", {"kind": "stale", "slots": behind})
        assert await self._state("processed") == blocks[-behind].after
        assert await self._state("confirmed") == blocks[-behind - 1].after
        slot = await self.chain.call("getSlot", {"commitment": "finalized"})
        assert slot <= self.model.final
        if slot >= blocks[0].slot:
            then = next(block for block in blocks if block.slot == slot)
            assert await self._state("finalized") == then.after
        for sent, status in zip(
            self.everything[-20:], await self._statuses(self.everything[-20:]), strict=True
        ):
            at = self.model.slot_of(sent, self.bank.open_slot)
            is_seen = at is not None and at <= blocks[-behind].slot
            assert (status and status["slot"]) == (at if is_seen else None)
        await self.chain.call("sandbox_setRpcFault", {"kind": "off"})

    async def keeps(self) -> None:
        name = f"s{len(self.kept)}"
        await self.chain.call("sandbox_snapshot", {"name": name})
        await self._seals()
        self.kept[name] = deepcopy(self.model)

    async def goes_back(self) -> None:
        if self.kept:
            name = self.dice.choice(list(self.kept))
            await self.chain.call("sandbox_restore", {"name": name})
            self.model = deepcopy(self.kept[name])

    # --- comparisons

    async def compare(self) -> None:
        for level in LEVELS:
            assert await self._state(level) == self.model.at(level), level
        assert await self.chain.call("getSlot", {"commitment": "finalized"}) == self.model.final
        sample = self.dice.sample(self.everything, min(40, len(self.everything)))
        for sent, status in zip(sample, await self._statuses(sample), strict=True):
            wanted = self.model.slot_of(sent, self.bank.open_slot)
            assert (status and status["slot"]) == wanted, sent.deed

    async def compare_all(self) -> None:
        """Also every signature, every block, and time."""
        await self.compare()
        confirmed = {"commitment": "confirmed"}
        first = self.model.blocks[0].slot
        slots = await self.chain.call("getBlocks", first, None, confirmed)
        assert slots == [block.slot for block in self.model.blocks]
        found: dict[str, int] = {}
        options = {**confirmed, "transactionDetails": "signatures"}
        before: dict[str, Any] | None = None
        for block in self.model.blocks:
            seen = await self.chain.call("getBlock", block.slot, options)
            assert seen["blockhash"] == block.hash
            if before is not None:
                assert seen["previousBlockhash"] == before["blockhash"]
                assert seen["blockTime"] >= before["blockTime"]
                assert seen["signatures"] == [sent.signature for sent in block.held]
                assert not found.keys() & set(seen["signatures"])
                found |= dict.fromkeys(seen["signatures"], block.slot)
            before = seen
        landed = found.keys() | {sent.signature for sent in self.model.open}
        for at in range(0, len(self.everything), 200):
            part = self.everything[at : at + 200]
            for sent, status in zip(part, await self._statuses(part), strict=True):
                assert (status is not None) == (sent.signature in landed)

    async def _statuses(self, sent: list[Sent]) -> list[Any]:
        names, found = [each.signature for each in sent], []
        for at in range(0, len(names), 256):
            found += await self.chain.value(
                "getSignatureStatuses", names[at : at + 256], {"searchTransactionHistory": True}
            )
        return found

    async def _state(self, level: str) -> State:
        people = list(self.keys)
        wallets = [self.keys[name].pubkey() for name in people]
        purses = [tokens.ata(self.keys[name].pubkey(), self.mint) for name in PEOPLE]
        options = {"commitment": level, "encoding": "base64"}
        found = await self.chain.value(
            "getMultipleAccounts", [str(key) for key in (self.mint, *wallets, *purses)], options
        )
        data = [account and base64.b64decode(account["data"][0]) for account in found]
        state = State()
        (state.supply,) = struct.unpack_from("<Q", data[0], 36)
        state.is_paused = bool(data[0][data[0].index(b"\x1a\x00\x21\x00", 166) + 36])
        state.lamports = {
            name: account["lamports"] if account else 0
            for name, account in zip(people, found[1:], strict=False)
        }
        for name, account, held in zip(
            PEOPLE, found[1 + len(people) :], data[1 + len(people) :], strict=True
        ):
            if account:
                assert account["lamports"] == PURSE_RENT
                (units,) = struct.unpack_from("<Q", held, 64)
                state.purses[name] = Purse(units, held[108] == 2)
        return state

    async def is_what_a_fresh_machine_gets(self) -> None:
        """All transactions of the chain's blocks from the first one, on a machine of its own."""
        svm = LiteSVM().with_sigverify(False).with_blockhash_check(False)
        svm = svm.with_transaction_history(0)
        system = Pubkey.default()
        for faucet in self.bank.faucets:
            svm.set_account(
                faucet.pubkey(), Account(lamports=FAUCET_LAMPORTS, data=b"", owner=system)
            )
        svm.set_account(NATIVE_MINT, native_mint())
        keys: set[bytes] = set()
        history = self.bank.history
        slots = history.slots(0, self.bank.tip.slot, 10**6)
        held = [(slot, block.time, history.records_of(block)) for slot in slots
                if (block := history.block(slot))]  # fmt: skip
        for slot, time, records in [*held, (self.bank.open_slot, 0, history.open_records)]:
            if records:
                svm.set_clock(Clock(slot, 0, 0, 1, time or self.bank.open_time))
            for record in records:
                result = svm.send_transaction(record.transaction)
                assert bytes(result) == record.meta
                keys.update(record.all_keys())
        for key in keys:
            account = svm.get_account(Pubkey(key))
            mine = None if account is None or account.lamports == 0 else account
            if mine is None or not mine.executable:
                assert mine == self.bank.accounts.current(key)


async def play(folder: Path, seed: int, steps: int) -> Counter[str]:
    player = Player(folder, seed)
    step = 0
    try:
        await player.found()
        while step < steps:
            await player.step()
            await player.compare()
            step += 1
        await player.compare_all()
        await player.is_what_a_fresh_machine_gets()
    except BaseException as error:
        error.add_note(f"seed {seed}, step {step}")
        raise
    finally:
        player.bank.shut()
    return player.did


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_random_histories_are_what_a_plain_model_says(tmp_path: Path, seed: int) -> None:
    did = await play(tmp_path, seed, 150)
    assert min(did.values()) > 0
    assert len(did) == 9


@pytest.mark.soak
@pytest.mark.parametrize("tens", range(30))
async def test_many_long_random_histories_are_what_a_plain_model_says(
    tmp_path: Path, tens: int
) -> None:
    for seed in range(1_000 + 10 * tens, 1_010 + 10 * tens):
        (folder := tmp_path / str(seed)).mkdir()
        await play(folder, seed, 400)
