"""What strangers may do on a real devnet that no session asked for; the books must not miss it."""

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from contracts import token
from contracts.solana_mint import TOKEN_2022, MintAuthorities, create_mint, final_size
from sandbox.chains.port import Block, Command
from sandbox.chains.solana import tx
from sandbox.chains.solana.rpc import Rpc
from tests.chains.suite.worlds import SolanaWorld, carry_out

# A token account of a pausable mint without the associated account's immutable owner.
ACCOUNT_SIZE = 165 + 1 + 4


def treasury_of(world: SolanaWorld) -> str:
    [treasury] = world.chain.own_addresses()
    return treasury


async def sent(
    world: SolanaWorld, holder: str, acts: list[Instruction], *more: Keypair
) -> tuple[str, Block]:
    tx_id = await world.send(holder, acts, *more)
    block = await world.confirmed(tx_id)
    assert tx_id not in block.tx_errors, block.tx_errors
    return tx_id, block


async def test_sol_that_reaches_the_treasury_is_foreign_and_keeps_its_reference(
    solana_world: SolanaWorld,
) -> None:
    holder, treasury = await solana_world.holder(), treasury_of(solana_world)
    reference = Pubkey.new_unique()
    gift = tx.give_sol(Pubkey.from_string(holder), Pubkey.from_string(treasury), 5_000_000)
    gift = Instruction(
        gift.program_id, gift.data, [*gift.accounts, AccountMeta(reference, False, False)]
    )
    tx_id, block = await sent(solana_world, holder, [tx.memo("cs_1"), gift])
    [foreign] = [f for f in block.foreign if f.tx == tx_id]
    assert (foreign.token, foreign.source, foreign.amount) == ("SOL", holder, 5_000_000)
    assert foreign.keys == (f"ref:{reference}", "memo:cs_1")


async def test_another_token_that_reaches_the_treasury_is_foreign(
    solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder, treasury = await solana_world.holder(), treasury_of(solana_world)
    payer, to, mint = Pubkey.from_string(holder), Pubkey.from_string(treasury), Keypair()
    rpc, spec = Rpc(solana_rpc), token.load()
    rent = await rpc.call("getMinimumBalanceForRentExemption", final_size(spec))
    await rpc.aclose()
    may = MintAuthorities(payer, payer, payer, payer, payer)
    other = tx.Token(mint.pubkey(), spec.decimals)
    await sent(solana_world, holder, create_mint(spec, payer, mint.pubkey(), may, rent), mint)
    tx_id, block = await sent(
        solana_world,
        holder,
        [tx.create_token_account(payer, to, other), tx.mint_to(other, to, payer, 77)],
    )
    assert not [t for t in block.transfers if t.tx == tx_id]
    [foreign] = [f for f in block.foreign if f.tx == tx_id]
    assert (foreign.token, foreign.source, foreign.amount) == (str(mint.pubkey()), "", 77)
    assert foreign.destination == treasury


async def test_units_that_come_with_a_whole_account_are_a_transfer(
    solana_world: SolanaWorld, solana_rpc: str
) -> None:
    holder, treasury = await solana_world.holder(), treasury_of(solana_world)
    owner, account = Pubkey.from_string(holder), Keypair()
    await solana_world.final(await carry_out(solana_world, Command("mint", "iss_1", holder, 100)))
    kzte, rpc = solana_world.token, Rpc(solana_rpc)
    rent = await rpc.call("getMinimumBalanceForRentExemption", ACCOUNT_SIZE)
    await rpc.aclose()
    made = create_account(
        CreateAccountParams(
            from_pubkey=owner,
            to_pubkey=account.pubkey(),
            lamports=rent,
            space=ACCOUNT_SIZE,
            owner=TOKEN_2022,
        )
    )
    opened = Instruction(
        TOKEN_2022,
        b"\x12" + bytes(owner),
        [AccountMeta(account.pubkey(), False, True), AccountMeta(kzte.mint, False, False)],
    )
    paid = tx.transfer_units(kzte, owner, owner, 40)
    into = [*paid.accounts[:2], AccountMeta(account.pubkey(), False, True), *paid.accounts[3:]]
    filled = Instruction(paid.program_id, paid.data, into)
    _, block = await sent(solana_world, holder, [made, opened, filled], account)
    [moved] = block.transfers
    assert (moved.source, moved.destination, moved.amount_units) == (holder, holder, 40)
    given = Instruction(
        TOKEN_2022,
        b"\x06\x02\x01" + bytes(Pubkey.from_string(treasury)),
        [AccountMeta(account.pubkey(), False, True), AccountMeta(owner, True, False)],
    )
    tx_id, block = await sent(solana_world, holder, [given])
    [moved] = block.transfers
    assert (moved.tx, moved.kind) == (tx_id, "transfer")
    assert (moved.source, moved.destination, moved.amount_units) == (holder, treasury, 40)
    await solana_world.final(tx_id)
    assert (await solana_world.chain.balance(treasury)).units == 40


async def test_two_sessions_paid_in_one_transaction_are_two_payments(
    solana_world: SolanaWorld,
) -> None:
    holder, treasury = await solana_world.holder(), treasury_of(solana_world)
    await solana_world.final(await carry_out(solana_world, Command("mint", "iss_1", holder, 100)))
    source, to = Pubkey.from_string(holder), Pubkey.from_string(treasury)
    references = [Pubkey.new_unique() for _ in range(2)]
    acts = [
        tx.transfer_units(solana_world.token, source, to, 10 + n, [reference])
        for n, reference in enumerate(references)
    ]
    _, block = await sent(solana_world, holder, acts)
    assert [(t.ordinal, t.amount_units, t.keys) for t in block.transfers] == [
        (n, 10 + n, (f"ref:{reference}",)) for n, reference in enumerate(references)
    ]
