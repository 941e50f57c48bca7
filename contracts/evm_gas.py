"""What each call of the EVM contracts costs, from receipts of a real node: `python -m
contracts.evm_gas` prints the table of `docs/gas.md`. The same figures on every run: same keys,
same order."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import Web3

from contracts import evm, token
from contracts.evm_addresses import DepositAddresses, deposit_salt

ANVIL = Path(__file__).parents[1] / "node_modules/.bin/anvil"
BATCH = 50
# The node's own accounts: everybody's keys, worth nothing.
_MNEMONIC = "test test test test test test test test test test test junk"
_ENOUGH, _FAR = 30_000_000, 2**48
_WORDS = [("from", "address"), ("to", "address"), ("value", "uint256")]
_TERMS = [*_WORDS, ("validAfter", "uint256"), ("validBefore", "uint256"), ("nonce", "bytes32")]
_PERMIT = [
    ("owner", "address"),
    ("spender", "address"),
    ("value", "uint256"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
]


@dataclass(frozen=True, slots=True)
class Row:
    """`gas` of a whole transaction, its base cost included, that serves `sessions` of them."""

    call: str
    gas: int
    sessions: int = 1

    @property
    def each(self) -> int:
        return self.gas // self.sessions


def gas_table() -> list[Row]:
    """Measured on a new node of its own (`node_modules/.bin/anvil`), in about three seconds."""
    with _node() as url:
        return _Measuring(Web3(Web3.HTTPProvider(url))).rows()


def markdown(rows: list[Row]) -> str:
    """The rows as a table; of a batch the share of one session is named too."""
    lines = ["| Call | Gas | For one session |", "|---|--:|--:|"]
    for row in rows:
        each = f"{row.each:,}" if row.sessions > 1 else ""
        lines.append(f"| {row.call} | {row.gas:,} | {each} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _node() -> Iterator[str]:
    argv = [str(ANVIL), "--port", "0", "--hardfork", "prague", "--gas-limit", "100000000"]
    node = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None
        for line in node.stdout:
            if line.startswith("Listening on"):
                yield "http://" + line.split()[-1]
                return
        raise RuntimeError("the node ended before it listened")
    finally:
        node.terminate()
        node.wait(10)
        if node.stdout is not None:
            node.stdout.close()


class _Measuring:
    def __init__(self, web3: Web3) -> None:
        self.web3, self.spec = web3, token.load()
        roles = ["admin", "mint-controller", "guardian", "compliance", "bailiff", "rescuer"]
        names = [*roles, "issuer", "treasury", "fee-payer"]
        self.keys: dict[str, Any] = dict(zip(names, web3.eth.accounts, strict=False))
        self.treasury, self.relayer = self.keys["treasury"], self.keys["fee-payer"]
        self.payer: LocalAccount = _account(9)
        self.measured: list[Row] = []
        self.numbered = 0

    def rows(self) -> list[Row]:
        kzte = self._deploy("kzte", *evm.token_arguments(self.spec, self.keys))
        arguments = evm.deposits_arguments(kzte.address, self.treasury, evm.load("forwarder"))
        deposits = self._deploy("deposits", *arguments)
        self._issue(kzte.functions)
        self._pay(kzte.functions)
        self._authorize(kzte)
        self._permit(kzte)
        self._regulate(kzte.functions)
        self._sweep(kzte.functions, deposits)
        self._row("burn", kzte.functions.burn(5, self._word()), self.treasury)
        return self.measured

    def _issue(self, call: Any) -> None:
        issuer, controller = self.keys["issuer"], self.keys["mint-controller"]
        self._row("configureMinter", call.configureMinter(issuer, 2**255), controller)
        self._do(call.configureMinter(self.treasury, 0), controller)
        payer = self.payer.address
        self._row("mint to a new holder", call.mint(payer, 10**9, self._word()), issuer)
        self._row("mint to a holder", call.mint(payer, 10**9, self._word()), issuer)

    def _pay(self, call: Any) -> None:
        payer = self.payer.address
        self._row("transfer to a new holder", call.transfer(self.relayer, 5), payer)
        self._row("transfer to a holder", call.transfer(self.relayer, 5), payer)
        self._row("approve", call.approve(self.relayer, 100), payer)
        moved = call.transferFrom(payer, self.relayer, 5)
        self._row("transferFrom to a holder", moved, self.relayer)

    def _authorize(self, kzte: Any) -> None:
        for form in ("bytes", "v, r, s"):
            for whom, to in (("new holder", self._stranger()), ("holder", self.relayer)):
                terms = (self.payer.address, to, 5, 0, _FAR, self._word())
                tail = self._signed(kzte, form, "TransferWithAuthorization", _TERMS, terms)
                call = kzte.functions.transferWithAuthorization(*terms, *tail)
                name = f"transferWithAuthorization to a {whom} (`{form}`)"
                self._row(name, call, self.relayer)
        what = (self.payer.address, self._word())
        fields = [("authorizer", "address"), ("nonce", "bytes32")]
        tail = self._signed(kzte, "bytes", "CancelAuthorization", fields, what)
        canceled = kzte.functions.cancelAuthorization(*what, *tail)
        self._row("cancelAuthorization (`bytes`)", canceled, self.relayer)

    def _permit(self, kzte: Any) -> None:
        owner = self.payer.address
        for nonce, form in enumerate(("bytes", "v, r, s")):
            spender = self._stranger()
            terms = (owner, spender, 100, nonce, _FAR)
            tail = self._signed(kzte, form, "Permit", _PERMIT, terms)
            call = kzte.functions.permit(owner, spender, 100, _FAR, *tail)
            first = "first" if nonce == 0 else "later"
            self._row(f"permit, an owner's {first} one (`{form}`)", call, self.relayer)

    def _regulate(self, call: Any) -> None:
        frozen, compliance = self._stranger(), self.keys["compliance"]
        self._do(call.transfer(frozen, 9), self.payer.address)
        self._row("freeze", call.freeze(frozen), compliance)
        taken = call.confiscate(frozen, self.relayer, 5, self._word())
        self._row("confiscate", taken, self.keys["bailiff"])
        self._row("unfreeze", call.unfreeze(frozen), compliance)

    def _sweep(self, call: Any, deposits: Any) -> None:
        where = DepositAddresses.of_factory(deposits.address)
        # The treasury holds something, as it always does once the float is there.
        self._do(call.transfer(self.treasury, 5), self.payer.address)
        for count in (1, BATCH):
            sessions = [f"cs_{count}_{index}" for index in range(count)]
            salts = [deposit_salt(session) for session in sessions]
            for state in ("new", "existing", "empty"):
                if state != "empty":
                    for session in sessions:
                        self._do(call.transfer(where.of_session(session), 7), self.payer.address)
                swept = (
                    deposits.functions.sweep(salts[0])
                    if count == 1
                    else deposits.functions.sweepMany(salts)
                )
                name = "sweep of one" if count == 1 else f"sweepMany of {count}"
                plural = "" if count == 1 else "es"
                self._row(f"{name} {state} address{plural}", swept, self.relayer, sessions=count)

    def _signed(
        self,
        kzte: Any,
        form: str,
        struct: str,
        fields: list[tuple[str, str]],
        values: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        domain = {
            "name": self.spec.name,
            "version": self.spec.evm.version,
            "chainId": self.web3.eth.chain_id,
            "verifyingContract": kzte.address,
        }
        kinds = {struct: [{"name": name, "type": kind} for name, kind in fields]}
        message = dict(zip((name for name, _ in fields), values, strict=True))
        found = self.payer.sign_message(encode_typed_data(domain, kinds, message))
        signature = bytes(found.signature)
        if form == "bytes":
            return (signature,)
        return signature[64], signature[:32], signature[32:64]

    def _word(self) -> bytes:
        """32 bytes that no other call used; without zeros, as those of real life."""
        self.numbered += 1
        return bytes(Web3.keccak(self.numbered.to_bytes(4, "big")))

    def _stranger(self) -> str:
        return Web3.to_checksum_address(self._word()[:20])

    def _deploy(self, name: str, *arguments: Any) -> Any:
        artifact = evm.load(name)
        made = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = self._row(f"deploy {name}.vy", made.constructor(*arguments), self.relayer)
        return self.web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi)

    def _row(self, name: str, call: Any, sender: str, *, sessions: int = 1) -> Any:
        receipt = self._do(call, sender)
        self.measured.append(Row(name, receipt["gasUsed"], sessions))
        return receipt

    def _do(self, call: Any, sender: str) -> Any:
        sent = call.transact({"from": sender, "gas": _ENOUGH})
        receipt = self.web3.eth.wait_for_transaction_receipt(sent, timeout=30, poll_latency=0.01)
        assert receipt["status"] == 1
        return receipt


def _account(index: int) -> LocalAccount:
    Account.enable_unaudited_hdwallet_features()
    found: LocalAccount = Account.from_mnemonic(_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return found


if __name__ == "__main__":
    sys.stdout.write(markdown(gas_table()))
