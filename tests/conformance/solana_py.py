"""The life of a token with unmodified solana-py 0.41, which is async only.

usage: python solana_py.py <rpc> <ws>      prints the facts of test_clients.py as JSON
"""

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import mint_2022
from mint_2022 import MEMO, TOKEN_2022
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.core import RPCException, TransactionExpiredBlockheightExceededError
from solana.rpc.models import MemcmpOpts, TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token import instructions as token
from spl.token import models

SOL = 10**9
Facts = dict[str, Any]
CHECKED = TxOpts(preflight_commitment=Confirmed)
UNCHECKED = TxOpts(skip_preflight=True)


class Life:
    """One token from its mint to its burning."""

    def __init__(self, client: AsyncClient, ws_url: str) -> None:
        self.client, self.ws_url = client, ws_url
        self.facts: Facts = {"refused": {}, "heard": {}}
        self.issuer, self.customer, self.shop, self.next = (Keypair() for _ in range(4))
        self.mint_key, self.reference = Keypair(), Keypair().pubkey()
        self.mint = self.mint_key.pubkey()
        self.source, self.dest = (
            token.get_associated_token_address(key.pubkey(), self.mint, TOKEN_2022)
            for key in (self.customer, self.shop)
        )

    async def signed(
        self, *instructions: Instruction, signers: list[Keypair]
    ) -> tuple[VersionedTransaction, int]:
        latest = (await self.client.get_latest_blockhash(Confirmed)).value
        message = MessageV0.try_compile(
            signers[0].pubkey(), list(instructions), [], latest.blockhash
        )
        return VersionedTransaction(message, signers), latest.last_valid_block_height

    async def send(
        self, *instructions: Instruction, signers: list[Keypair], opts: TxOpts = CHECKED
    ) -> Signature:
        transaction, height = await self.signed(*instructions, signers=signers)
        sent = (await self.client.send_transaction(transaction, opts)).value
        await self.client.confirm_transaction(sent, Confirmed, 0.05, height)
        return sent

    async def refusal(self, doing: Awaitable[Any]) -> Facts:
        try:
            await doing
        except RPCException as error:
            failure = error.args[0].data
            return {
                "code": failure.err.err.code,
                "logs": mint_2022.failed_logs(failure.logs),
            }
        raise AssertionError("it was not refused")

    async def fund(self, key: Keypair) -> None:
        sent = (await self.client.request_airdrop(key.pubkey(), SOL)).value
        await self.client.confirm_transaction(sent, Confirmed, 0.05)

    async def info(self, key: Pubkey) -> dict[str, Any]:
        account = (await self.client.get_account_info_json_parsed(key, Confirmed)).value
        assert account is not None
        return dict(account.data.parsed["info"])

    def pay(self, units: int, decimals: int = 2, owner: Keypair | None = None) -> Instruction:
        return token.transfer_checked(
            models.TransferCheckedParams(
                program_id=TOKEN_2022,
                source=self.source,
                mint=self.mint,
                dest=self.dest,
                owner=(owner or self.customer).pubkey(),
                amount=units,
                decimals=decimals,
            )
        )

    def issue(self, units: int) -> Instruction:
        return token.mint_to_checked(
            models.MintToCheckedParams(
                program_id=TOKEN_2022,
                mint=self.mint,
                dest=self.source,
                mint_authority=self.issuer.pubkey(),
                amount=units,
                decimals=2,
            )
        )

    async def begins(self) -> None:
        for key in (self.issuer, self.customer, self.shop):
            await self.fund(key)
        self.doomed = (await self.client.get_latest_blockhash(Finalized)).value
        boss = self.issuer.pubkey()
        rent = await self.client.get_minimum_balance_for_rent_exemption(mint_2022.FULL_SPACE)
        await self.send(
            *mint_2022.make(boss, self.mint, rent.value), signers=[self.issuer, self.mint_key]
        )
        self.facts["mint"] = mint_2022.facts(await self.info(self.mint), boss)
        opened = [
            token.create_idempotent_associated_token_account(
                boss, key.pubkey(), self.mint, TOKEN_2022
            )
            for key in (self.customer, self.shop)
        ]
        await self.send(*opened, self.issue(10_000), signers=[self.issuer])
        account = (await self.client.get_account_info(self.source, Confirmed)).value
        assert account is not None
        self.facts["account_bytes"] = len(account.data)

    async def is_paid(self) -> None:
        transfer = mint_2022.with_reference(self.pay(1250), self.reference)
        memo = Instruction(MEMO, mint_2022.MEMO_TEXT.encode(), [])
        transaction, height = await self.signed(memo, transfer, signers=[self.customer])
        paid = transaction.signatures[0]
        filters = [174, MemcmpOpts(offset=0, bytes=str(self.mint))]
        async with SolanaWsClient(self.ws_url) as ws:
            kinds = {
                (
                    await ws.account_subscribe(
                        pubkey=self.dest, commitment=Confirmed, encoding="base64"
                    )
                ).subscription_id: "account",
                (
                    await ws.logs_subscribe(
                        filter_=RpcTransactionLogsFilterMentions(self.reference),
                        commitment=Confirmed,
                    )
                ).subscription_id: "logs",
                (
                    await ws.program_subscribe(
                        program_id=TOKEN_2022,
                        commitment=Confirmed,
                        encoding="base64",
                        filters=filters,
                    )
                ).subscription_id: "program",
                (await ws.slot_subscribe()).subscription_id: "slot",
                (await ws.root_subscribe()).subscription_id: "root",
                (
                    await ws.signature_subscribe(signature=paid, commitment=Finalized)
                ).subscription_id: "signature",
            }
            await self.client.send_transaction(transaction, CHECKED)
            await self.client.confirm_transaction(paid, Confirmed, 0.05, height)
            while len(self.facts["heard"]) < len(kinds):
                told = await ws.recv()
                self.hear(kinds[told.subscription], told.result, paid)
        await self.found(paid)

    def hear(self, kind: str, result: Any, paid: Signature) -> None:
        heard = self.facts["heard"]
        match kind:
            case "account":
                heard.setdefault(kind, int.from_bytes(result.value.data[64:72], "little"))
            case "logs":
                heard.setdefault(kind, result.value.err is None and result.value.signature == paid)
            case "program" if result.value.pubkey == self.dest:
                heard[kind] = True
            case "slot":
                heard[kind] = result.parent < result.slot
            case "root":
                heard[kind] = result > 0
            case "signature":
                heard[kind] = result.value.err

    async def found(self, paid: Signature) -> None:
        rows = (await self.client.get_signatures_for_address(self.reference)).value
        seen = (
            await self.client.get_transaction(
                paid, "json", commitment=Finalized, max_supported_transaction_version=0
            )
        ).value
        shown = (
            await self.client.get_transaction(
                paid, "jsonParsed", commitment=Finalized, max_supported_transaction_version=0
            )
        ).value
        assert seen is not None
        assert shown is not None
        meta = seen.transaction.meta
        keys = seen.transaction.transaction.message.account_keys

        def held(balances: Any) -> int:
            (row,) = (one for one in balances if keys[one.account_index] == self.dest)
            return int(row.ui_token_amount.amount)

        parsed = [one.parsed for one in shown.transaction.transaction.message.instructions]
        self.facts["payment"] = {
            "found": [row.signature == paid for row in rows],
            "memo": rows[0].memo,
            "received": held(meta.post_token_balances) - held(meta.pre_token_balances),
            "parsed": [one if isinstance(one, str) else one["type"] for one in parsed],
        }

    async def is_refused(self) -> None:
        refused, customer, issuer = self.facts["refused"], self.customer, self.issuer
        refused["decimals"] = await self.refusal(self.send(self.pay(100, 3), signers=[customer]))
        refused["short"] = await self.refusal(self.send(self.pay(10**6), signers=[customer]))
        plain = token.transfer(
            models.TransferParams(
                program_id=TOKEN_2022,
                source=self.source,
                dest=self.dest,
                owner=customer.pubkey(),
                amount=1,
            )
        )
        refused["plain_transfer"] = await self.refusal(self.send(plain, signers=[customer]))
        freezing = {
            "program_id": TOKEN_2022,
            "account": self.source,
            "mint": self.mint,
            "authority": issuer.pubkey(),
        }
        await self.send(
            token.freeze_account(models.FreezeAccountParams(**freezing)), signers=[issuer]
        )
        self.facts["frozen"] = (await self.info(self.source))["state"] == "frozen"
        refused["frozen"] = await self.refusal(self.send(self.pay(100), signers=[customer]))
        await self.send(token.thaw_account(models.ThawAccountParams(**freezing)), signers=[issuer])
        await self.send(mint_2022.pause(self.mint, issuer.pubkey()), signers=[issuer])
        state = mint_2022.state(await self.info(self.mint), "pausableConfig")
        self.facts["paused"] = state["paused"]
        refused["paused"] = await self.refusal(self.send(self.pay(100), signers=[customer]))
        await self.send(mint_2022.resume(self.mint, issuer.pubkey()), signers=[issuer])

        # A failure that lands pays its fee.
        lost = await self.send(self.pay(10**6), signers=[customer], opts=UNCHECKED)
        (status,) = (await self.client.get_signature_statuses([lost])).value
        landed = (
            await self.client.get_transaction(
                lost, "base64", commitment=Confirmed, max_supported_transaction_version=0
            )
        ).value
        assert status is not None
        assert landed is not None
        meta = landed.transaction.meta
        self.facts["failed"] = {
            "code": status.err.err.code, "read": meta.err.err.code, "fee": meta.fee,
        }  # fmt: skip

    async def ends(self) -> None:
        issuer = self.issuer
        await self.send(self.pay(500, owner=issuer), signers=[issuer])
        await self.send(
            token.set_authority(
                models.SetAuthorityParams(
                    program_id=TOKEN_2022,
                    account=self.mint,
                    authority=models.AuthorityType.MINT_TOKENS,
                    current_authority=issuer.pubkey(),
                    new_authority=self.next.pubkey(),
                )
            ),
            signers=[issuer],
        )
        self.facts["refused"]["former_authority"] = await self.refusal(
            self.send(self.issue(1), signers=[issuer])
        )
        authority = (await self.info(self.mint))["mintAuthority"]
        self.facts["new_authority"] = authority == str(self.next.pubkey())
        burn = models.BurnCheckedParams(
            program_id=TOKEN_2022,
            mint=self.mint,
            account=self.dest,
            owner=self.shop.pubkey(),
            amount=250,
            decimals=2,
        )
        await self.send(token.burn_checked(burn), signers=[self.shop])
        client = self.client
        customer = await client.get_token_account_balance(self.source, Confirmed)
        shop = await client.get_token_account_balance(self.dest, Confirmed)
        supply = await client.get_token_supply(self.mint, Confirmed)
        self.facts["left"] = {
            "customer": customer.value.ui_amount_string,
            "shop": shop.value.ui_amount_string,
            "supply": supply.value.ui_amount_string,
        }
        owned = await client.get_token_accounts_by_owner_json_parsed(
            self.shop.pubkey(), TokenAccountOpts(mint=self.mint), Confirmed
        )
        infos = [row.account.data.parsed["info"] for row in owned.value]
        self.facts["owned"] = [one["tokenAmount"]["uiAmountString"] for one in infos]

    async def expires(self) -> None:
        client, doomed = self.client, self.doomed
        while (await client.get_block_height(Confirmed)).value <= doomed.last_valid_block_height:
            await asyncio.sleep(0.1)
        message = MessageV0.try_compile(self.customer.pubkey(), [self.pay(1)], [], doomed.blockhash)
        late = VersionedTransaction(message, [self.customer])
        self.facts["expired"] = {
            "valid": await self.is_valid(doomed.blockhash), "refused": False, "gave_up": False,
        }  # fmt: skip
        try:
            await client.send_transaction(late, CHECKED)
        except RPCException as error:
            self.facts["expired"]["refused"] = "Blockhash not found" in error.args[0].message
        sent = (await client.send_transaction(late, UNCHECKED)).value
        try:
            await client.confirm_transaction(sent, Confirmed, 0.05, doomed.last_valid_block_height)
        except TransactionExpiredBlockheightExceededError:
            self.facts["expired"]["gave_up"] = True

    async def is_valid(self, blockhash: Any) -> bool:
        """The client has no isBlockhashValid: no fee for a message is its way to ask."""
        message = MessageV0.try_compile(self.customer.pubkey(), [self.pay(1)], [], blockhash)
        return (await self.client.get_fee_for_message(message, Confirmed)).value is not None


async def main(rpc_url: str, ws_url: str) -> Facts:
    async with AsyncClient(rpc_url, Confirmed) as client:
        life = Life(client, ws_url)
        await life.begins()
        await life.is_paid()
        await life.is_refused()
        await life.ends()
        await life.expires()
        return life.facts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:3]))))
