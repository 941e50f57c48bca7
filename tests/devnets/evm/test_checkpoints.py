"""A checkpoint shortens a start and can be lost, damaged or wrong without losing a block."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from eth_account import Account

from sandbox.devnets.evm import checkpoint
from sandbox.devnets.evm.anvil import Anvil, find_program
from sandbox.devnets.evm.journal import Genesis
from sandbox.devnets.evm.node import Node
from sandbox.devnets.evm.opening import Options
from sandbox.devnets.evm.reorgs import reorg
from tests.devnets.evm.chain import ETHER, FAUCET, OTHER, transfer

HISTORY = 64
GHOST = "0x" + "ab" * 20


class World:
    """A node in this process, whose checkpoints come after fewer blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stamp_s = 1_700_000_000
        self.node: Node

    async def open(self) -> None:
        async def start(genesis: Genesis) -> Anvil:
            return await Anvil.start(find_program(), self.folder, genesis, HISTORY)

        options = Options(
            chain_id=31337,
            gas_limit=100_000_000,
            dev_accounts=False,
            first_stamp=self.stamp_s,
            data_dir=self.folder,
            engine="anvil",
            history=HISTORY,
            start=start,
            fund=(FAUCET.address,),
        )
        self.node = Node(options)
        await self.node.open()

    async def heartbeats(self, count: int) -> None:
        for _ in range(count):
            self.stamp_s += 12
            self.node.clock.frozen_at_ms = self.stamp_s * 1000
            await self.node.mine()
            await self.node.save_if_due(is_idle=True)

    async def again(self) -> int:
        """Stop, start, and give how much was replayed; the chain must be the same."""
        before = self.node.head
        await self.node.close()
        await self.open()
        assert self.node.head == before
        return self.node.replayed


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(checkpoint, "_EACH", 100)
    made = World(tmp_path)
    await made.open()
    yield made
    await made.node.close()


async def pay(world: World, nonce: int) -> str:
    [tx_hash] = await world.node.send([bytes.fromhex(transfer(nonce)[2:])])
    assert isinstance(tx_hash, str)
    await world.node.mine()
    return tx_hash


async def test_a_start_replays_what_is_younger_and_old_receipts_are_there(world: World) -> None:
    tx = await pay(world, 0)
    await world.heartbeats(300)
    call = ("eth_getTransactionReceipt", (tx,))
    before = await world.node.look([call, ("eth_getBlockByNumber", ("0x1", True))])
    assert HISTORY <= await world.again() < 200
    assert await world.node.look([call, ("eth_getBlockByNumber", ("0x1", True))]) == before
    oldest = hex(world.node.head.number - HISTORY + 2)
    [coins] = await world.node.look([("eth_getBalance", (OTHER, oldest))])
    assert coins == "0x1"
    await pay(world, 1)
    await world.again()


async def test_settings_pool_clock_and_funds_are_there_again(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    await world.node.change("anvil_setBalance", [GHOST, hex(ETHER)])
    await world.node.change("anvil_impersonateAccount", [GHOST])
    await world.node.change("anvil_setCoinbase", ["0x" + "cc" * 20])
    await world.node.set_clock(86_400_000, 1_900_000_000_000)
    world.stamp_s = 1_900_000_000
    [waits] = await world.node.send([bytes.fromhex(transfer(5)[2:])])
    await world.heartbeats(300)
    assert await world.again() < 200
    node = world.node
    assert node.clock.offset_ms == 86_400_000
    assert node.clock.frozen_at_ms is not None
    assert "0x" + next(iter(node.pool.held())).hex() == waits
    assert {FAUCET.address.lower(), GHOST} <= node.settings.funded
    request = {"from": GHOST, "to": OTHER, "value": "0x1"}
    [sent] = await node.look([("eth_sendTransaction", (request,))])
    assert len(sent) == 66
    await world.heartbeats(1)
    [block] = await node.look([("eth_getBlockByNumber", ("latest", False))])
    assert block["miner"] == "0x" + "cc" * 20
    assert capfd.readouterr().err == ""


async def test_a_reorg_below_a_fresh_checkpoint_throws_it_away(world: World) -> None:
    await world.heartbeats(110)
    assert (world.folder / "checkpoint.next").exists()
    await reorg(world.node, 60, reinclude=False)
    assert not (world.folder / "checkpoint.next").exists()
    await world.heartbeats(200)
    await reorg(world.node, 60, reinclude=True)
    assert await world.again() < 300


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "offset"])
async def test_a_checkpoint_that_is_no_good_costs_time_only(
    world: World, damage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    await world.heartbeats(250)
    file = world.folder / "checkpoint.bin"
    good = file.read_bytes()
    if damage == "cut":
        file.write_bytes(good[: len(good) // 2])
    elif damage == "flipped":
        file.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    else:
        with checkpoint.JournalFile(file) as frames:
            payloads = [payload for payload, _ in frames.payloads()]
        name = b'"offset":' if damage == "offset" else b'"genesis":"0x'
        payloads[0] = payloads[0].replace(name, name + b"1", 1)
        file.write_bytes(b"".join(map(checkpoint.framed, payloads)))
    assert await world.again() == 250
    assert not file.exists()
    assert ("replaying everything" in capfd.readouterr().err) == (damage == "offset")


async def test_stamps_of_every_kind_come_again(world: World) -> None:
    """Heartbeats have stamps of their own: anvil mixes those of a batch up."""
    key = Account.from_key("0x" + "0e" * 32)
    await world.node.change("anvil_setBalance", [key.address, hex(ETHER)])
    await world.heartbeats(90)
    (world.folder / "checkpoint.next").unlink(missing_ok=True)
    await world.node.mine(60)
    await world.heartbeats(5)
    assert await world.again() == 155
