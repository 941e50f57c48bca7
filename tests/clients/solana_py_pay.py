"""An ordinary customer: pays a Solana Pay URL with unmodified solana-py and nothing of ours.

usage: python solana_py_pay.py <rpc> <secret-key-json-file> <url>      prints the signature
"""

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.memo.instructions import create_memo
from spl.memo.models import MemoParams
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import get_associated_token_address, transfer_checked
from spl.token.models import TransferCheckedParams


def to_units(amount: str, decimals: int) -> int:
    whole, _, rest = amount.partition(".")
    if len(rest) > decimals:
        raise SystemExit(f"{amount} has more than {decimals} places")
    return int(whole + rest.ljust(decimals, "0"))


async def pay(rpc_url: str, key_file: str, url: str) -> str:
    parts = urlsplit(url)
    fields = parse_qs(parts.query)
    recipient, mint = Pubkey.from_string(parts.path), Pubkey.from_string(fields["spl-token"][0])
    owner = Keypair.from_bytes(bytes(json.loads(Path(key_file).read_text())))
    async with AsyncClient(rpc_url, Confirmed, http2=False) as client:
        supply = (await client.get_token_supply(mint)).value
        transfer = transfer_checked(
            TransferCheckedParams(
                program_id=TOKEN_2022_PROGRAM_ID,
                source=get_associated_token_address(owner.pubkey(), mint, TOKEN_2022_PROGRAM_ID),
                mint=mint,
                dest=get_associated_token_address(recipient, mint, TOKEN_2022_PROGRAM_ID),
                owner=owner.pubkey(),
                amount=to_units(fields["amount"][0], supply.decimals),
                decimals=supply.decimals,
                signers=[],
            )
        )
        references = [
            AccountMeta(Pubkey.from_string(key), is_signer=False, is_writable=False)
            for key in fields.get("reference", [])
        ]
        transfer = Instruction(
            transfer.program_id, bytes(transfer.data), [*transfer.accounts, *references]
        )
        memos = [
            create_memo(
                MemoParams(program_id=MEMO_PROGRAM_ID, signer=owner.pubkey(), message=text.encode())
            )
            for text in fields.get("memo", [])
        ]
        latest = (await client.get_latest_blockhash()).value
        message = MessageV0.try_compile(owner.pubkey(), [*memos, transfer], [], latest.blockhash)
        sent = await client.send_transaction(
            VersionedTransaction(message, [owner]), TxOpts(preflight_commitment=Confirmed)
        )
        await client.confirm_transaction(sent.value, Confirmed, 0.1, latest.last_valid_block_height)
        return str(sent.value)


if __name__ == "__main__":
    print(asyncio.run(pay(*sys.argv[1:4])))
