"""What each call costs on the real node, from receipts: `python -m tests.contracts.evm.gas`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from web3 import Web3

from contracts import evm, token
from contracts.evm_addresses import DepositAddresses, deposit_salt

ANVIL = Path("node_modules/.bin/anvil")
MNEMONIC = "test test test test test test test test test test test junk"


def main() -> None:
    node = subprocess.Popen(
        [str(ANVIL), "--port", "0", "--hardfork", "prague", "--gas-limit", "100000000"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert node.stdout is not None
        lines = (line for line in node.stdout if line.startswith("Listening on"))
        measure(Web3(Web3.HTTPProvider("http://" + next(lines).split()[-1])))
    finally:
        node.terminate()
        node.wait(10)


def measure(web3: Web3) -> None:
    names = ["admin", "mint-controller", "guardian", "compliance", "bailiff", "rescuer"]
    names += ["issuer", "treasury", "fee-payer"]
    keys = dict(zip(names, web3.eth.accounts, strict=False))
    relayer, payer = keys["fee-payer"], web3.eth.accounts[9]
    spec, treasury = token.load(), keys["treasury"]

    def done(label: str, call: Any, sender: str) -> Any:
        sent = call.transact({"from": sender, "gas": 30_000_000})
        receipt = web3.eth.wait_for_transaction_receipt(sent)
        assert receipt["status"] == 1, label
        if label:
            sys.stdout.write(f"{label:<60}{receipt['gasUsed']:>10,}\n")
        return receipt

    def deployed(name: str, *arguments: Any) -> Any:
        artifact = evm.load(name)
        made = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = done(f"deploy {name}", made.constructor(*arguments), relayer)
        return web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)

    kzte = deployed("kzte", *evm.token_arguments(spec, keys))
    deposits = deployed(
        "deposits", *evm.deposits_arguments(kzte.address, treasury, evm.load("forwarder"))
    )
    where = DepositAddresses.of_factory(deposits.address)
    call, number = kzte.functions, iter(range(1, 10_000))

    def reference() -> bytes:
        return next(number).to_bytes(32, "big")

    done("configureMinter", call.configureMinter(keys["issuer"], 2**255), keys["mint-controller"])
    done("", call.configureMinter(treasury, 0), keys["mint-controller"])
    done("mint to a new holder", call.mint(payer, 10**9, reference()), keys["issuer"])
    done("mint to a holder", call.mint(payer, 10**9, reference()), keys["issuer"])
    done("transfer to a new holder", call.transfer(relayer, 5), payer)
    done("transfer to a holder", call.transfer(relayer, 5), payer)
    done("approve", call.approve(relayer, 100), payer)
    done("transferFrom to a holder", call.transferFrom(payer, relayer, 5), relayer)
    Account.enable_unaudited_hdwallet_features()
    signer = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/9")
    assert signer.address == payer
    for form in ("bytes", "v, r, s"):
        terms = (payer, relayer, 5, 0, 2**48, reference())
        signed = signer.sign_message(authorization(kzte, spec, web3.eth.chain_id, terms))
        signature = signed.signature
        tail = (
            (bytes(signature),)
            if form == "bytes"
            else (signature[64], bytes(signature[:32]), bytes(signature[32:64]))
        )
        done(
            f"transferWithAuthorization to a holder ({form})",
            call.transferWithAuthorization(*terms, *tail),
            relayer,
        )
    done("freeze", call.freeze(web3.eth.accounts[8]), keys["compliance"])
    done("", call.unfreeze(web3.eth.accounts[8]), keys["compliance"])
    sweep = deposits.functions
    # The treasury holds something, as it always does once the float is there.
    done("", call.transfer(treasury, 5), payer)
    for count in (1, 50):
        sessions = [f"cs_{count}_{index}" for index in range(count)]
        salts = [deposit_salt(session) for session in sessions]
        for again in ("new", "known"):
            for session in sessions:
                done("", call.transfer(where.of_session(session), 7), payer)
            receipt = done(f"sweepMany of {count} {again}", sweep.sweepMany(salts), relayer)
            sys.stdout.write(f"{'  each':<60}{receipt['gasUsed'] // count:>10,}\n")
        done(f"sweepMany of {count} empty", sweep.sweepMany(salts), relayer)
    done("", call.transfer(where.of_session("cs_single"), 7), payer)
    done("sweep of 1 new", sweep.sweep(deposit_salt("cs_single")), relayer)
    done("burn", call.burn(5, reference()), treasury)


def authorization(kzte: Any, spec: token.TokenSpec, chain_id: int, terms: tuple[Any, ...]) -> Any:
    fields = [
        ("from", "address"),
        ("to", "address"),
        ("value", "uint256"),
        ("validAfter", "uint256"),
        ("validBefore", "uint256"),
        ("nonce", "bytes32"),
    ]
    domain = {
        "name": spec.name,
        "version": spec.evm.version,
        "chainId": chain_id,
        "verifyingContract": kzte.address,
    }
    kinds = {"TransferWithAuthorization": [{"name": n, "type": t} for n, t in fields]}
    message = dict(zip((name for name, _ in fields), terms, strict=True))
    return encode_typed_data(domain, kinds, message)


if __name__ == "__main__":
    main()
