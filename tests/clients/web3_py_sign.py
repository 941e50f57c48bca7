"""Signs EIP-2612 permits and EIP-3009 authorizations with unmodified eth-account, under the domain
that the token itself names (EIP-5267), and sends them with AsyncWeb3 from an account of its own.

usage: web3_py_sign.py <rpc> <jobs-file>      prints what became of each step, as JSON
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from eth_account import Account
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GAS = 200_000


class Customer:
    """One signer, and the account that sends what it signed."""

    def __init__(self, w3: AsyncWeb3[Any], jobs: dict[str, Any]) -> None:
        self.w3, self.types = w3, jobs["types"]
        self.signer = Account.from_key(jobs["signerKey"])
        sender = Account.from_key(jobs["senderKey"])
        self.sent_from = {"from": sender.address, "gas": GAS}
        w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(sender), layer=0)
        self.contract = w3.eth.contract(address=jobs["token"], abi=jobs["abi"])
        self.domain: dict[str, Any] = {}

    async def read_domain(self) -> None:
        found = await self.contract.functions.eip712Domain().call()
        fields, name, version, chain_id, contract, _, extensions = found
        if fields != b"\x0f" or extensions:
            raise SystemExit(f"other fields: {fields.hex()}")
        self.domain = {
            "name": name,
            "version": version,
            "chainId": chain_id,
            "verifyingContract": contract,
        }

    async def play(self, step: dict[str, Any]) -> dict[str, Any]:
        struct, message = step["struct"], step["message"]
        values = {name: bare(value) for name, value in message.items()}
        if struct == "Permit":
            next_nonce = await self.contract.functions.nonces(self.signer.address).call()
            values["nonce"] = next_nonce if step["nonce"] is None else step["nonce"]
        signed = self.signer.sign_typed_data(self.domain, {struct: self.types[struct]}, values)
        signature = spoilt(bytes(signed.signature), step["spoil"])
        terms = [values[e["name"]] for e in self.types[struct] if e["name"] in message]
        kinds = [e["type"] for e in self.types[struct] if e["name"] in message]
        tail, tail_kinds = parts(signature, step["form"])
        name = struct[0].lower() + struct[1:]
        call = self.contract.get_function_by_signature(f"{name}({','.join(kinds + tail_kinds)})")(
            *terms, *tail
        )
        refusal = None
        try:
            await call.call({"from": self.sent_from["from"]})
        except ContractLogicError as refused:
            refusal = str(refused.message).removeprefix("execution reverted: ")
        sent = await call.transact(self.sent_from)
        receipt = await self.w3.eth.wait_for_transaction_receipt(sent, 30)
        return {"refusal": refusal, "succeeded": receipt["status"] == 1}


def bare(value: str) -> Any:
    return int(value) if value.isdecimal() else value


def spoilt(signature: bytes, how: str) -> bytes:
    if how == "zero":
        return bytes(65)
    s = int.from_bytes(signature[32:64], "big")
    if how == "high s":
        return signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - signature[64]])
    if how == "compact":
        return signature[:32] + (s | (signature[64] - 27) << 255).to_bytes(32, "big")
    return signature


def parts(signature: bytes, form: str) -> tuple[list[Any], list[str]]:
    if form == "bytes":
        return [signature], ["bytes"]
    return [signature[64], signature[:32], signature[32:64]], ["uint8", "bytes32", "bytes32"]


async def main(rpc_url: str, jobs_file: str) -> None:
    jobs = json.loads(Path(jobs_file).read_text())
    w3 = AsyncWeb3(AsyncHTTPProvider(rpc_url))
    customer = Customer(w3, jobs)
    await customer.read_domain()
    outcomes = [await customer.play(step) for step in jobs["steps"]]
    await w3.provider.disconnect()
    print(json.dumps({"domain": customer.domain, "outcomes": outcomes}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
