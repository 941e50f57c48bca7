"""A paid request with unmodified x402 2.25 (`exact` on SVM): client, facilitator, second settle.

The package knows a fixed list of networks, so a tester says devnet and gives our URL.
usage: .venv-x402/bin/python x402_pay.py <rpc> <ws>      prints the facts of test_clients.py
"""

import json
import re
import sys
from typing import Any

import mint_2022
from mint_2022 import TOKEN_2022
from solana.rpc.api import Client
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.types import TxOpts
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from spl.token.client import Token
from x402.mechanisms.svm.exact.client import ExactSvmScheme as Payer
from x402.mechanisms.svm.exact.facilitator import ExactSvmScheme as Facilitator
from x402.mechanisms.svm.signers import FacilitatorKeypairSigner, KeypairSigner
from x402.schemas import PaymentPayload, PaymentRequirements

DEVNET = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
SOL = 10**9

rpc_url = sys.argv[1]
client = Client(rpc_url, Confirmed)
issuer, buyer, shop, sponsor, mint_key = (Keypair() for _ in range(5))
mint = mint_key.pubkey()
kzte = Token(client, mint, TOKEN_2022, issuer)
confirmed = TxOpts(skip_confirmation=False, preflight_commitment=Confirmed)


def send(*instructions: Instruction, signers: list[Keypair]) -> Signature:
    blockhash = client.get_latest_blockhash(Confirmed).value.blockhash
    message = MessageV0.try_compile(signers[0].pubkey(), list(instructions), [], blockhash)
    sent = client.send_transaction(VersionedTransaction(message, signers), opts=confirmed).value
    client.confirm_transaction(sent, Confirmed, 0.05)
    return sent


for key in (issuer, sponsor):  # the buyer needs no SOL: the facilitator pays the fee
    client.confirm_transaction(client.request_airdrop(key.pubkey(), SOL).value, Confirmed, 0.05)
rent = client.get_minimum_balance_for_rent_exemption(mint_2022.FULL_SPACE).value
send(*mint_2022.make(issuer.pubkey(), mint, rent), signers=[issuer, mint_key])
source = kzte.create_associated_token_account(buyer.pubkey(), skip_confirmation=False)
dest = kzte.create_associated_token_account(shop.pubkey(), skip_confirmation=False)
minted = kzte.mint_to_checked(source, issuer, 10_000, 2, opts=confirmed).value
# The package reads the mint at its client's default, which is final.
client.confirm_transaction(minted, Finalized, 0.05)

payer = Payer(KeypairSigner(buyer), rpc_url=rpc_url)


def facilitator() -> Facilitator:
    """A new one, with no memory of what it settled."""
    return Facilitator(FacilitatorKeypairSigner(sponsor, rpc_url=rpc_url))


def requirements(units: int, memo: str) -> PaymentRequirements:
    return PaymentRequirements(
        scheme="exact",
        network=DEVNET,
        asset=str(mint),
        amount=str(units),
        pay_to=str(shop.pubkey()),
        max_timeout_seconds=60,
        extra={"feePayer": str(sponsor.pubkey()), "memo": memo},
    )


def payload(wanted: PaymentRequirements) -> PaymentPayload:
    return PaymentPayload(payload=payer.create_payment_payload(wanted), accepted=wanted)


def verdict(answer: Any) -> Any:
    """True, or why not: what the chain said of the simulation where that was the reason."""
    if answer.is_valid:
        return True
    custom = re.search(r"Custom\((\d+)\)", answer.invalid_message or "")
    if custom is not None:
        return f"0x{int(custom[1]):x}"
    return (
        "AlreadyProcessed"
        if "AlreadyProcessed" in (answer.invalid_message or "")
        else (answer.invalid_reason)
    )


asked = requirements(1250, "cs_1")
paid = payload(asked)
first = facilitator()
facts: dict[str, Any] = {"verified": verdict(first.verify(paid, asked))}
settled = first.settle(paid, asked)
signature = Signature.from_string(settled.transaction)
facts["settled"] = settled.success
again = facilitator().settle(paid, asked)
facts["settled_again"] = [again.success, verdict(facilitator().verify(paid, asked))]
landed = client.get_transaction(signature, "json", Confirmed, 0).value.transaction
facts["fee"] = landed.meta.fee
facts["paid_by_sponsor"] = landed.meta.pre_balances[0] - landed.meta.post_balances[0]
(row,) = client.get_signatures_for_address(dest, limit=1).value
facts["memo"] = row.memo
facts["too_much"] = verdict(
    facilitator().verify(payload(more := requirements(1_000_000, "cs_2")), more)
)
facts["less_than_asked"] = verdict(facilitator().verify(paid, requirements(1251, "cs_1")))

asked = requirements(100, "cs_3")
waiting = payload(asked)
facts["before_the_pause"] = verdict(facilitator().verify(waiting, asked))
send(mint_2022.pause(mint, issuer.pubkey()), signers=[issuer])
facts["paused"] = verdict(facilitator().verify(waiting, asked))
refused = facilitator().settle(waiting, asked)
facts["settled_while_paused"] = [refused.success, refused.transaction]
facts["left"] = kzte.get_balance(source).value.ui_amount_string
print(json.dumps(facts))
