"""A Token-2022 mint with metadata, permanent delegate and pause: flows, refusals, parsed shapes."""

from dataclasses import dataclass
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.devnets.solana import tokens
from tests.devnets.solana.chain import SOL, Chain, Refused

PARSED = {"commitment": "processed", "encoding": "jsonParsed"}


@dataclass
class Shop:
    """An issuer with its mint, and a buyer who owns 5,000 units."""

    chain: Chain
    issuer: Keypair
    buyer: Keypair
    seller: Pubkey
    mint: Pubkey

    async def refused(self, *instructions: Instruction, signers: list[Keypair]) -> Any:
        """The err of a refused transaction."""
        with pytest.raises(Refused) as refused:
            await self.chain.do(*instructions, signers=signers)
        assert refused.value.code == -32002
        return refused.value.data["err"]

    async def units(self, owner: Pubkey) -> int:
        name = str(tokens.ata(owner, self.mint))
        value = await self.chain.value("getTokenAccountBalance", name, {"commitment": "processed"})
        return int(value["amount"])


@pytest.fixture
async def shop(chain: Chain) -> Shop:
    issuer, buyer, seller = await chain.wallet(), await chain.wallet(SOL), Keypair().pubkey()
    mint = await tokens.make_mint(chain, issuer)
    key = issuer.pubkey()
    await chain.do(
        tokens.open_account(key, buyer.pubkey(), mint),
        tokens.open_account(key, seller, mint),
        tokens.mint_to(mint, buyer.pubkey(), key, 5_000),
        signers=[issuer],
    )
    return Shop(chain, issuer, buyer, seller, mint)


def custom(code: int, index: int = 0) -> dict[str, Any]:
    return {"InstructionError": [index, {"Custom": code}]}


async def test_payments_that_the_program_refuses(shop: Shop) -> None:
    buyer, boss = shop.buyer.pubkey(), shop.issuer.pubkey()
    mint, seller = shop.mint, shop.seller
    by_buyer = [shop.buyer]
    assert await shop.refused(tokens.pay(mint, buyer, seller, 5_001), signers=by_buyer) == custom(
        0x1
    )
    assert await shop.refused(
        tokens.pay(mint, buyer, seller, 1, decimals=6), signers=by_buyer
    ) == custom(0x12)
    assert await shop.refused(
        tokens.plain_transfer(mint, buyer, seller, 1), signers=by_buyer
    ) == custom(0x1F)
    assert await shop.refused(
        tokens.pay(shop.mint, buyer, Keypair().pubkey(), 1), signers=by_buyer
    ) == {"InstructionError": [0, "IncorrectProgramId"]}
    assert await shop.refused(
        tokens.mint_to(shop.mint, buyer, buyer, 1), signers=by_buyer
    ) == custom(0x4)
    await shop.chain.do(tokens.freeze(shop.mint, buyer, boss), signers=[shop.issuer])
    await shop.chain.advance(1)  # equal instructions are another transaction under another hash
    assert await shop.refused(tokens.pay(mint, buyer, seller, 1), signers=by_buyer) == custom(0x11)
    assert await shop.refused(
        tokens.freeze(shop.mint, buyer, boss), signers=[shop.issuer]
    ) == custom(0xD)
    # Not even the permanent delegate moves frozen tokens.
    assert await shop.refused(
        tokens.burn(shop.mint, buyer, boss, 1), signers=[shop.issuer]
    ) == custom(0x11)
    await shop.chain.do(tokens.freeze(shop.mint, buyer, boss, thaw=True), signers=[shop.issuer])
    await shop.chain.do(tokens.pause(shop.mint, boss), signers=[shop.issuer])
    assert await shop.refused(tokens.pay(mint, buyer, seller, 1), signers=by_buyer) == custom(0x43)
    assert await shop.refused(
        tokens.mint_to(shop.mint, buyer, boss, 1), signers=[shop.issuer]
    ) == custom(0x43)
    await shop.chain.do(tokens.pause(shop.mint, boss, resume=True), signers=[shop.issuer])
    await shop.chain.do(tokens.pay(mint, buyer, seller, 1), signers=by_buyer)
    assert await shop.units(shop.seller) == 1


async def test_supply_is_the_sum_of_all_accounts(shop: Shop) -> None:
    buyer, boss = shop.buyer.pubkey(), shop.issuer.pubkey()
    await shop.chain.do(tokens.pay(shop.mint, buyer, shop.seller, 1_250), signers=[shop.buyer])
    await shop.chain.do(tokens.burn(shop.mint, buyer, boss, 750), signers=[shop.issuer])
    processed = {"commitment": "processed"}
    supply = await shop.chain.value("getTokenSupply", str(shop.mint), processed)
    assert supply == {
        "amount": "4250",
        "decimals": 2,
        "uiAmount": 42.5,
        "uiAmountString": "42.5",
    }
    largest = await shop.chain.value("getTokenLargestAccounts", str(shop.mint), processed)
    assert [(row["address"], row["amount"]) for row in largest] == [
        (str(tokens.ata(buyer, shop.mint)), "3000"),
        (str(tokens.ata(shop.seller, shop.mint)), "1250"),
    ]
    assert (await shop.units(buyer), await shop.units(shop.seller)) == (3_000, 1_250)
    # Nothing of this is final.
    with pytest.raises(Refused):
        await shop.chain.value("getTokenSupply", str(shop.mint))


async def test_the_mint_is_parsed_with_its_extensions(shop: Shop) -> None:
    boss = str(shop.issuer.pubkey())
    value = await shop.chain.value("getAccountInfo", str(shop.mint), PARSED)
    assert value["data"]["program"] == "spl-token-2022"
    assert value["data"]["space"] == value["space"]
    assert value["rentEpoch"] == 2**64 - 1
    info = value["data"]["parsed"]["info"]
    assert info["supply"] == "5000"
    assert info["mintAuthority"] == info["freezeAuthority"] == boss
    states = {e["extension"]: e.get("state") for e in info["extensions"]}
    assert states["permanentDelegate"] == {"delegate": boss}
    assert states["pausableConfig"] == {"authority": boss, "paused": False}
    assert states["metadataPointer"] == {"authority": boss, "metadataAddress": str(shop.mint)}
    assert states["tokenMetadata"] == {
        "updateAuthority": boss,
        "mint": str(shop.mint),
        "name": "Test Tenge",
        "symbol": "TKZT",
        "uri": "https://example.test/t.json",
        "additionalMetadata": [],
    }


async def test_token_accounts_are_found_by_owner_mint_and_delegate(shop: Shop) -> None:
    buyer, delegate = shop.buyer.pubkey(), Keypair().pubkey()
    await shop.chain.do(tokens.approve(shop.mint, buyer, delegate, 9), signers=[shop.buyer])
    account = str(tokens.ata(buyer, shop.mint))
    for method, who, selector in (
        ("getTokenAccountsByOwner", buyer, {"mint": str(shop.mint)}),
        ("getTokenAccountsByOwner", buyer, {"programId": str(tokens.TOKEN_2022)}),
        ("getTokenAccountsByDelegate", delegate, {"mint": str(shop.mint)}),
    ):
        (row,) = await shop.chain.value(method, str(who), selector, PARSED)
        assert row["pubkey"] == account
        assert row["account"]["space"] == 174
        info = row["account"]["data"]["parsed"]["info"]
        assert info["delegatedAmount"]["amount"] == "9"
        assert [e["extension"] for e in info["extensions"]] == ["immutableOwner", "pausableAccount"]
    stranger = str(Keypair().pubkey())
    mint = {"mint": str(shop.mint)}
    assert await shop.chain.value("getTokenAccountsByOwner", stranger, mint, PARSED) == []
    with pytest.raises(Refused) as refused:
        await shop.chain.value("getTokenAccountsByOwner", stranger, {"mint": stranger}, PARSED)
    assert "could not find mint" in refused.value.message
    found = await shop.chain.call(
        "getProgramAccounts",
        str(tokens.TOKEN_2022),
        PARSED | {"filters": [{"memcmp": {"offset": 0, "bytes": str(shop.mint)}}]},
    )
    assert {row["pubkey"] for row in found} == {
        account,
        str(tokens.ata(shop.seller, shop.mint)),
    }


async def test_what_is_no_token_account_is_refused(shop: Shop) -> None:
    processed = {"commitment": "processed"}
    for method, what, words in (
        ("getTokenAccountBalance", Keypair().pubkey(), "could not find account"),
        ("getTokenAccountBalance", shop.buyer.pubkey(), "not a Token account"),
        ("getTokenSupply", shop.buyer.pubkey(), "not a Token mint"),
        ("getTokenLargestAccounts", Keypair().pubkey(), "could not find account"),
    ):
        with pytest.raises(Refused) as refused:
            await shop.chain.call(method, str(what), processed)
        assert refused.value.code == -32602
        assert words in refused.value.message


async def test_the_native_mint_answers(chain: Chain) -> None:
    native = "So11111111111111111111111111111111111111112"
    value = await chain.value("getTokenSupply", native)
    assert (value["amount"], value["decimals"]) == ("0", 9)


async def test_base58_is_refused_above_128_bytes(shop: Shop) -> None:
    account = str(tokens.ata(shop.seller, shop.mint))
    with pytest.raises(Refused) as refused:
        await shop.chain.call("getAccountInfo", account, {"commitment": "processed"})
    assert refused.value.code == -32600
    part = {
        "commitment": "processed",
        "encoding": "base58",
        "dataSlice": {"offset": 32, "length": 32},
    }
    value = await shop.chain.value("getAccountInfo", account, part)
    assert value["data"] == [str(shop.seller), "base58"]
    assert value["space"] == 174
