"""An ordinary customer: pays an ERC-681 URL with unmodified web3.py and nothing of ours.

usage: web3_py_pay.py <rpc> <secret-key-file> <url>      prints the transaction hash
"""

import re
import sys
from pathlib import Path

from eth_account import Account
from web3 import Web3
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
    sent = contract.functions.transfer(recipient, int(units)).transact({"from": account.address})
    receipt = w3.eth.wait_for_transaction_receipt(sent, timeout=30)
    if receipt["status"] != 1:
        raise SystemExit("failed on chain")
    return Web3.to_hex(sent)


if __name__ == "__main__":
    print(pay(*sys.argv[1:4]))
