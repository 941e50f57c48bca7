"""A customer with tokens and no coin pays: the sandbox pays the fee, and signs nothing else."""

import base64
from collections.abc import AsyncIterator
from html import escape as html_escape
from unittest.mock import patch

import httpx2
import pytest
import pytest_asyncio
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from sandbox.chains.errors import PaymentRefused, SponsorEmpty
from sandbox.chains.solana import tx
from sandbox.chains.solana.keys import load_sponsor
from sandbox.chains.solana.sponsoring import FEE_LAMPORTS, Sponsor
from sandbox.chains.solana.wallet import SolanaWallet
from sandbox.web.sponsoring import MAX_PER_MINUTE, MINUTE_S, SponsoredTooOften, Turns
from tests.scenarios.on_solana import SolanaGround
from tests.scenarios.orders import ordered
from tests.scenarios.world import Json, World

pytestmark = pytest.mark.asyncio(loop_scope="module")
on_solana = pytest.mark.parametrize("ground", ["solana"], indirect=True)
on_evm = pytest.mark.parametrize("ground", ["evm"], indirect=True)


class Newcomer:
    """A wallet that never had any coin."""

    def __init__(self, world: World, units: int) -> None:
        assert isinstance(world.ground, SolanaGround)
        self.world, self.units, self.key = world, units, Keypair()
        self.wallet = SolanaWallet(world.ground.rpc_url, self.key)
        self.address = self.wallet.address

    async def pay(self, session: Json, offered: str) -> str:
        url = self.world.option(session)["url"]
        return await self.wallet.pay_sponsored(url, offered, wait=False)


@pytest_asyncio.fixture(loop_scope="module")
async def newcomer(world: World) -> AsyncIterator[Newcomer]:
    found = Newcomer(world, 20_000)
    await world.issue({found.address: 20_000})
    assert await found.wallet.lamports() == 0
    yield found
    await found.wallet.aclose()


async def asked(world: World, session: Json | str, account: object) -> httpx2.Response:
    """What any wallet does: no key, no header of ours."""
    id_ = session if isinstance(session, str) else session["id"]
    path = f"/pay/{id_}/{world.name}/transaction"
    return await world.http.post(path, json={"account": account})


async def offered(world: World, session: Json, account: str) -> str:
    answer = await asked(world, session, account)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["transaction"]
    return found


async def refusal(world: World, session: Json | str, account: object) -> tuple[int, str, str]:
    """(status, code, what the wallet shows)."""
    answer = await asked(world, session, account)
    told = answer.json()
    return answer.status_code, told["code"], told["message"]


# Refused.


@on_evm
async def test_a_chain_whose_payers_pay_their_fees_says_so(world: World) -> None:
    session = await world.session()
    status, code, message = await refusal(world, session, world.customer)
    assert (status, code) == (422, "not_sponsored")
    assert "native coin" in message
    answer = await world.http.get(f"/pay/{session['id']}/{world.name}/transaction")
    assert (answer.status_code, answer.json()["code"]) == (422, "not_sponsored")


@on_solana
async def test_who_cannot_pay_gets_nothing_signed(world: World, newcomer: Newcomer) -> None:
    session = await world.session()
    nobody, sponsor = Keypair(), load_sponsor(world.wired.settings.keys_dir)
    assert sponsor is not None
    account = str(tx.token_account(newcomer.key.pubkey(), Pubkey.from_string(_mint(world))))
    for payer, why in (
        (str(nobody.pubkey()), "has no account"),
        (world.ground.treasury, "nobody's wallet"),
        (str(sponsor.pubkey()), "nobody's wallet"),
        (account, "nobody's wallet"),
    ):
        status, code, message = await refusal(world, session, payer)
        assert (status, code) == (409, "payer_cannot_pay"), payer
        assert why in message
    place = str(tx.token_account(nobody.pubkey(), Pubkey.from_string(_mint(world))))
    await world.ground.send_coin(await world.ground.payer(), place, 890_880)
    await world.ground.mine(2)
    status, code, message = await refusal(world, session, str(nobody.pubkey()))
    assert (code, "it has 0 units" in message) == ("payer_cannot_pay", True)
    for payer in ("", "nobody", _mint(world), "1" * 32, "0x" + "ab" * 20):
        assert (await refusal(world, session, payer))[:2] == (422, "invalid_address")
    for wrong in (None, 5, [], "x" * 200):
        status, code, message = await refusal(world, session, wrong)
        assert (status, code, "account" in message) == (422, "invalid_request", True)
    dear = await world.session(20_001)
    status, code, message = await refusal(world, dear, newcomer.address)
    units = world.units(20_000), world.units(20_001)
    assert (code, f"{units[0]} units of {units[1]}" in message) == ("payer_cannot_pay", True)


@on_solana
async def test_what_is_stopped_is_not_sponsored(world: World, newcomer: Newcomer) -> None:
    session = await world.session()
    async with ordered(world, "freeze", newcomer.address):
        assert "is frozen" in (await refusal(world, session, newcomer.address))[2]
    async with ordered(world, "freeze", world.ground.treasury):
        assert "treasury is frozen" in (await refusal(world, session, newcomer.address))[2]
    async with ordered(world, "pause"):
        assert "is paused" in (await refusal(world, session, newcomer.address))[2]
    await offered(world, session, newcomer.address)


@on_solana
async def test_only_an_open_session_is_sponsored(world: World, newcomer: Newcomer) -> None:
    canceled, late = await world.session(), await world.session(expires_in_s=60)
    await world.post(f"/v1/checkout/sessions/{canceled['id']}/cancel", {})
    for missing in ("cs_nobody", "%00"):
        assert (await asked(world, missing, newcomer.address)).status_code in (404, 422)
    assert (await refusal(world, canceled, newcomer.address))[1] == "session_not_open"
    # Not yet said to be over by the worker, and over all the same.
    await world.pass_time(61)
    assert (await refusal(world, late, newcomer.address))[1] == "session_not_open"
    await world.run("expire")
    paid = await world.captured()
    assert (await refusal(world, paid["session"], newcomer.address))[1] == "session_not_open"


@on_solana
async def test_a_session_is_not_sponsored_without_end(world: World, newcomer: Newcomer) -> None:
    session, other = await world.session(), await world.session()
    for _ in range(MAX_PER_MINUTE):
        await offered(world, session, newcomer.address)
    status, code, message = await refusal(world, session, newcomer.address)
    assert (status, code) == (429, "sponsored_too_often")
    assert "a minute" in message
    await offered(world, other, newcomer.address)


async def test_turns_come_back_with_time_and_old_sessions_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    turns = Turns(lambda: now[0])
    for _ in range(MAX_PER_MINUTE):
        turns.take("cs_1")
    with pytest.raises(SponsoredTooOften):
        turns.take("cs_1")
    now[0] = MINUTE_S
    turns.take("cs_1")
    monkeypatch.setattr("sandbox.web.sponsoring.MAX_SESSIONS", 5)
    for n in range(20):
        turns.take(f"cs_{n}")
    assert len(turns._served) == 5


@on_solana
async def test_an_empty_purse_is_said(world: World, newcomer: Newcomer) -> None:
    ground = world.ground
    assert isinstance(ground, SolanaGround)
    treasury = Pubkey.from_string(ground.treasury)
    poor = Sponsor(ground.chain._rpc, "solana", ground.chain._token, treasury, Keypair())
    option = world.option(await world.session())
    with pytest.raises(SponsorEmpty):
        await poor.payment(option, newcomer.address, 1)


@on_solana
async def test_a_wallet_signs_nothing_but_the_payment_it_was_asked_for(
    world: World, newcomer: Newcomer
) -> None:
    session, other = await world.session(), await world.session(5_000)
    good = await offered(world, session, newcomer.address)
    whole = Transaction.from_bytes(base64.b64decode(good))
    sponsor = whole.message.account_keys[0]
    more = tx.give_sol(newcomer.key.pubkey(), sponsor, 1)
    greedy = Message.new_with_blockhash([more], sponsor, whole.message.recent_blockhash)
    own = Message.new_with_blockhash([more], newcomer.key.pubkey(), whole.message.recent_blockhash)
    unsigned = Transaction.new_unsigned(whole.message)
    for wrong, why in (
        ("no transaction", "no transaction"),
        (base64.b64encode(b"\0" * 100).decode(), "no transaction"),
        (await offered(world, other, newcomer.address), "not the payment"),
        (base64.b64encode(bytes(Transaction.new_unsigned(greedy))).decode(), "not the payment"),
        (base64.b64encode(bytes(Transaction.new_unsigned(own))).decode(), "not the payment"),
        (base64.b64encode(bytes(unsigned)).decode(), "did not sign"),
    ):
        with pytest.raises(PaymentRefused, match=why):
            await newcomer.pay(session, wrong)
    assert await world.ground.units(newcomer.address) == world.units(20_000)


@on_solana
async def test_the_page_links_to_it_only_where_wallets_would_follow(world: World) -> None:
    session = await world.session()
    path = f"/pay/{session['id']}/{world.name}/transaction"
    for base_url, linked in (
        ("http://127.0.0.1:8000", False),
        ("https://pay.example", True),
    ):
        settings = world.wired.settings.model_copy(update={"public_url": base_url})
        with patch.object(world.app.state, "settings", settings):
            html = (await world.http.get(f"/pay/{session['id']}")).text
        assert (f'href="solana:{base_url}{path}"' in html) is linked
        # What everybody scans is the transfer itself.
        assert f'class="button" href="{html_escape(world.option(session)["url"])}"' in html


# Paid.


@on_solana
async def test_who_asks_is_told_as_wallets_want_it(world: World) -> None:
    session = await world.session()
    answer = await world.http.get(f"/pay/{session['id']}/{world.name}/transaction")
    assert answer.status_code == 200
    told = answer.json()
    assert set(told) == {"label", "icon"}
    icon = await world.http.get(told["icon"].partition("8000")[2])
    assert icon.headers["content-type"] == "image/svg+xml"


@on_solana
async def test_a_wallet_without_coin_pays_a_session_and_has_none_afterwards(
    world: World, newcomer: Newcomer
) -> None:
    session = await world.session()
    sponsor = load_sponsor(world.wired.settings.keys_dir)
    assert sponsor is not None
    before = await world.ground.coin(str(sponsor.pubkey()))
    offer = await offered(world, session, newcomer.address)
    transaction = Transaction.from_bytes(base64.b64decode(offer))
    message = transaction.message
    assert message.account_keys[0] == sponsor.pubkey()
    # Nothing but its fee: in no instruction, and no key of the token's signed.
    assert all(0 not in bytes(one.accounts) for one in message.instructions)
    assert message.header.num_required_signatures == 2
    assert [bool(any(bytes(one))) for one in transaction.signatures] == [True, False]
    paid = await newcomer.pay(session, offer)
    await world.finalize()
    shown = await world.read(session)
    assert (shown["status"], shown["payment"]["tx"]) == ("complete", paid)
    assert shown["payment"]["from_address"] == newcomer.address
    assert await newcomer.wallet.lamports() == 0
    assert before - await world.ground.coin(str(sponsor.pubkey())) == FEE_LAMPORTS
    # Nothing is left: a second one would be money for a decision.
    assert (await refusal(world, session, newcomer.address))[1] == "session_not_open"


@on_solana
async def test_what_was_paid_in_part_is_sponsored_for_the_rest(
    world: World, newcomer: Newcomer
) -> None:
    session = await world.session()
    await world.pay(session, 4_000)
    offer = await offered(world, session, newcomer.address)
    url, left = world.option(session)["url"], world.units(6_000)
    await newcomer.wallet.pay_sponsored(url, offer, amount_units=left, wait=False)
    await world.mine()
    await world.finalize()
    assert (await world.read(session))["status"] == "complete"


@on_solana
async def test_the_same_offer_twice_is_one_payment(world: World, newcomer: Newcomer) -> None:
    session = await world.session()
    offer = await offered(world, session, newcomer.address)
    first = await newcomer.pay(session, offer)
    await world.mine()
    with pytest.raises(PaymentRefused):
        await newcomer.pay(session, offer)
    await world.finalize()
    payments = (await world.read(session))["payments"]
    assert [one["tx"] for one in payments] == [first]


def _mint(world: World) -> str:
    assert isinstance(world.ground, SolanaGround)
    return world.ground._mint
