"""The life of a token with unmodified solana-py 0.39: the last sync client, and its Token class.

usage: .venv-x402/bin/python solana_py_sync.py <rpc> <ws>      prints the facts of test_clients.py
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import mint_2022
from mint_2022 import MEMO, TOKEN_2022
from solana.rpc.api import Client
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.core import RPCException, TransactionExpiredBlockheightExceededError
from solana.rpc.types import MemcmpOpts, TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClientProtocol, connect
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.requests import RootSubscribe, SlotSubscribe
from solders.rpc.responses import SubscriptionResult
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token import instructions as token
from spl.token.client import Token

SOL = 10**9
Facts = dict[str, Any]
CONFIRMED = TxOpts(skip_confirmation=False, preflight_commitment=Confirmed)

rpc_url, ws_url = sys.argv[1:3]
client = Client(rpc_url, Confirmed)
facts: Facts = {"refused": {}, "heard": {}}
issuer, customer, shop, successor = (Keypair() for _ in range(4))
mint_key, reference = Keypair(), Keypair().pubkey()
mint = mint_key.pubkey()
kzte = Token(client, mint, TOKEN_2022, issuer)
by_customer = Token(client, mint, TOKEN_2022, customer)
by_shop = Token(client, mint, TOKEN_2022, shop)


def signed(*instructions: Instruction, signers: list[Keypair]) -> VersionedTransaction:
    blockhash = client.get_latest_blockhash(Confirmed).value.blockhash
    message = MessageV0.try_compile(signers[0].pubkey(), list(instructions), [], blockhash)
    return VersionedTransaction(message, signers)


def send(*instructions: Instruction, signers: list[Keypair]) -> Signature:
    sent = client.send_transaction(signed(*instructions, signers=signers), opts=CONFIRMED).value
    client.confirm_transaction(sent, Confirmed, 0.05)
    return sent


def refusal(doing: Callable[[], Any]) -> Facts:
    try:
        doing()
    except RPCException as error:
        failure = error.args[0].data
        return {"code": failure.err.err.code, "logs": mint_2022.failed_logs(failure.logs)}
    raise AssertionError("it was not refused")


def info(key: Pubkey) -> dict[str, Any]:
    return dict(client.get_account_info_json_parsed(key).value.data.parsed["info"])


for key in (issuer, customer, shop):
    client.confirm_transaction(client.request_airdrop(key.pubkey(), SOL).value, Confirmed, 0.05)
doomed = client.get_latest_blockhash(Finalized).value

rent = client.get_minimum_balance_for_rent_exemption(mint_2022.FULL_SPACE).value
send(*mint_2022.make(issuer.pubkey(), mint, rent), signers=[issuer, mint_key])
facts["mint"] = mint_2022.facts(info(mint), issuer.pubkey())
source = kzte.create_associated_token_account(customer.pubkey(), skip_confirmation=False)
dest = kzte.create_associated_token_account(shop.pubkey(), skip_confirmation=False)
kzte.mint_to_checked(source, issuer, 10_000, 2, opts=CONFIRMED)
facts["account_bytes"] = len(client.get_account_info(source).value.data)


def pay(units: int, decimals: int = 2) -> Any:
    return by_customer.transfer_checked(source, dest, customer, units, decimals, opts=CONFIRMED)


def transfer(units: int) -> Instruction:
    return token.transfer_checked(
        token.TransferCheckedParams(
            program_id=TOKEN_2022,
            source=source,
            mint=mint,
            dest=dest,
            owner=customer.pubkey(),
            amount=units,
            decimals=2,
        )
    )


async def listen(transaction: VersionedTransaction) -> None:
    """Subscribe, send, and hear of it from every side."""
    paid = transaction.signatures[0]
    async with connect(ws_url) as ws:
        kinds: dict[int, str] = {}

        async def wait_for(*names: str) -> None:
            """Answers come in order, a batch as one frame; a notification may come between."""
            waiting = list(names)
            while waiting:
                for told in await ws.recv():
                    if isinstance(told, SubscriptionResult):
                        kinds[told.result] = waiting.pop(0)
                    else:
                        hear(kinds[told.subscription], told.result, paid)

        await subscribe(ws, paid, wait_for)
        client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))
        while len(facts["heard"]) < len(kinds):
            for told in await ws.recv():
                hear(kinds[told.subscription], told.result, paid)


async def subscribe(ws: SolanaWsClientProtocol, paid: Signature, wait_for: Any) -> None:
    filters = [174, MemcmpOpts(offset=0, bytes=str(mint))]
    await ws.account_subscribe(dest, Confirmed, "base64")
    await wait_for("account")
    await ws.logs_subscribe(RpcTransactionLogsFilterMentions(reference), Confirmed)
    await wait_for("logs")
    await ws.program_subscribe(TOKEN_2022, Confirmed, "base64", filters=filters)
    await wait_for("program")
    await ws.signature_subscribe(paid, Finalized)
    await wait_for("signature")
    ids = (ws.increment_counter_and_get_id(), ws.increment_counter_and_get_id())
    await ws.send_request([SlotSubscribe(ids[0]), RootSubscribe(ids[1])])
    await wait_for("slot", "root")


def hear(kind: str, result: Any, paid: Signature) -> None:
    heard = facts["heard"]
    match kind:
        case "account":
            heard.setdefault(kind, int.from_bytes(result.value.data[64:72], "little"))
        case "logs":
            heard.setdefault(kind, result.value.err is None and result.value.signature == paid)
        case "program" if result.value.pubkey == dest:
            heard[kind] = True
        case "slot":
            heard[kind] = result.parent < result.slot
        case "root":
            heard[kind] = result > 0
        case "signature":
            heard[kind] = result.value.err


memo = Instruction(MEMO, mint_2022.MEMO_TEXT.encode(), [])
payment = signed(memo, mint_2022.with_reference(transfer(1250), reference), signers=[customer])
paid = payment.signatures[0]
asyncio.run(listen(payment))
rows = client.get_signatures_for_address(reference, commitment=Finalized).value
seen = client.get_transaction(paid, "json", Finalized, 0).value.transaction
shown = client.get_transaction(paid, "jsonParsed", Finalized, 0).value.transaction


def held(balances: Any) -> int:
    keys = seen.transaction.message.account_keys
    (row,) = (one for one in balances if keys[one.account_index] == dest)
    return int(row.ui_token_amount.amount)


parsed = [one.parsed for one in shown.transaction.message.instructions]
facts["payment"] = {
    "found": [row.signature == paid for row in rows],
    "memo": rows[0].memo,
    "received": held(seen.meta.post_token_balances) - held(seen.meta.pre_token_balances),
    "parsed": [one if isinstance(one, str) else one["type"] for one in parsed],
}

refused = facts["refused"]
refused["decimals"] = refusal(lambda: pay(100, 3))
refused["short"] = refusal(lambda: pay(10**6))
refused["plain_transfer"] = refusal(
    lambda: by_customer.transfer(source, dest, customer, 1, opts=CONFIRMED)
)
kzte.freeze_account(source, issuer, opts=CONFIRMED)
facts["frozen"] = info(source)["state"] == "frozen"
refused["frozen"] = refusal(lambda: pay(100))
kzte.thaw_account(source, issuer, opts=CONFIRMED)
send(mint_2022.pause(mint, issuer.pubkey()), signers=[issuer])
facts["paused"] = mint_2022.state(info(mint), "pausableConfig")["paused"]
refused["paused"] = refusal(lambda: pay(100))
send(mint_2022.resume(mint, issuer.pubkey()), signers=[issuer])

# A failure that lands pays its fee.
unchecked = TxOpts(skip_confirmation=False, skip_preflight=True)
lost = client.send_transaction(signed(transfer(10**6), signers=[customer]), opts=unchecked).value
status = client.get_signature_statuses([lost]).value[0]
landed = client.get_transaction(lost, "base64", Confirmed, 0).value.transaction
facts["failed"] = {
    "code": status.err.err.code,
    "read": landed.meta.err.err.code,
    "fee": landed.meta.fee,
}

kzte.transfer_checked(source, dest, issuer, 500, 2, opts=CONFIRMED)
kzte.set_authority(
    mint, issuer, token.AuthorityType.MINT_TOKENS, successor.pubkey(), opts=CONFIRMED
)
refused["former_authority"] = refusal(
    lambda: kzte.mint_to_checked(source, issuer, 1, 2, opts=CONFIRMED)
)
facts["new_authority"] = info(mint)["mintAuthority"] == str(successor.pubkey())
by_shop.burn_checked(dest, shop, 250, 2, opts=CONFIRMED)
facts["left"] = {
    "customer": kzte.get_balance(source).value.ui_amount_string,
    "shop": kzte.get_balance(dest).value.ui_amount_string,
    "supply": client.get_token_supply(mint).value.ui_amount_string,
}
owned = client.get_token_accounts_by_owner_json_parsed(shop.pubkey(), TokenAccountOpts(mint=mint))
facts["owned"] = [
    row.account.data.parsed["info"]["tokenAmount"]["uiAmountString"] for row in owned.value
]

while client.get_block_height(Confirmed).value <= doomed.last_valid_block_height:
    time.sleep(0.1)
message = MessageV0.try_compile(customer.pubkey(), [transfer(1)], [], doomed.blockhash)
late = VersionedTransaction(message, [customer])
expired = {
    "valid": client.get_fee_for_message(message, Confirmed).value is not None,
    "refused": False,
    "gave_up": False,
}
try:
    client.send_transaction(late, opts=CONFIRMED)
except RPCException as error:
    expired["refused"] = "Blockhash not found" in error.args[0].message
try:
    client.send_transaction(
        late,
        opts=unchecked._replace(last_valid_block_height=doomed.last_valid_block_height),
    )
except TransactionExpiredBlockheightExceededError:
    expired["gave_up"] = True
facts["expired"] = expired
print(json.dumps(facts))
