"""An ordinary customer: pays an ERC-681 URL with unmodified web3.py and nothing of ours, and waits
until nobody can take the payment back.

usage: web3_py_pay.py <rpc> <secret-key-file> <url>      prints the transaction hash
"""

import re
import sys
import time
from pathlib import Path

from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder

ERC20 = [
    {
        "type": "function",
        "name": "transfer",
        "stateMutability": "nonpayable",
        "inputs": [{"name": "to", "type": "address"}, {"name": "value", "type": "uint256"}],
        "outputs": [{"name": "", "type": "bool"}],
    }
]
URL = re.compile(r"ethereum:(0x\w{40})@(\d+)/transfer\?address=(0x\w{40})&uint256=(\d+)")
DEADLINE_S = 30


def pay(rpc_url: str, key_file: str, url: str) -> str:
    found = URL.fullmatch(url)
    if found is None:
        raise SystemExit(f"not a token transfer: {url}")
    token, chain_id, recipient, units = found.groups()
    w3 = Web3(Web3.HTTPProvider(rpc_url))
    if w3.eth.chain_id != int(chain_id):
        raise SystemExit(f"this is chain {w3.eth.chain_id}, the request is for {chain_id}")
    account = Account.from_key(Path(key_file).read_text())
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    contract = w3.eth.contract(address=Web3.to_checksum_address(token), abi=ERC20)
    transfer = contract.functions.transfer(recipient, int(units))
    try:
        sent = transfer.transact({"from": account.address})
    except ContractLogicError as refused:
        raise SystemExit(str(refused.message)) from refused
    receipt = w3.eth.wait_for_transaction_receipt(sent, timeout=DEADLINE_S)
    if receipt["status"] != 1:
        raise SystemExit("failed on chain")
    until_final(w3, receipt["blockNumber"])
    return Web3.to_hex(sent)


def until_final(w3: Web3, height: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while w3.eth.get_block("finalized")["number"] < height:
        if time.monotonic() > deadline:
            raise SystemExit(f"block {height} did not become final")
        time.sleep(0.02)


if __name__ == "__main__":
    print(pay(*sys.argv[1:4]))
