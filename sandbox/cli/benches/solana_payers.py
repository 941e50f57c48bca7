"""Wallets with tokens on a Solana devnet of a measurement, which sign payments beforehand."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from contracts import token as specification
from contracts.solana_mint import MintAuthorities, create_mint
from sandbox.chains.solana import tx
from sandbox.cli.benches import rpc
from sandbox.cli.benches.limits import payment

WALLETS = 16
_START_UNITS = 10**9


@dataclass(frozen=True, slots=True)
class Signed:
    """A payment that nobody sent yet."""

    signature: str
    raw: str  # base64


class Payers:
    """They pay one treasury as a checkout asks for: a memo, transferChecked with a reference."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.wallets = [Keypair() for _ in range(WALLETS)]
        self._authority, self._mint, self._treasury = Keypair(), Keypair(), Keypair().pubkey()
        self._spec = specification.load()
        self._token = tx.Token(self._mint.pubkey(), self._spec.decimals)
        self.paid_to = self.account_of(self._treasury)
        self.signed = 0

    def account_of(self, owner: Pubkey) -> Pubkey:
        return tx.token_account(owner, self._mint.pubkey())

    async def ask(self, method: str, *params: Any) -> Any:
        return await rpc.ask(self._url, method, *params)

    async def fund(self) -> None:
        """Lamports, the mint and the token accounts, all in blocks that nobody waits for."""
        for key in (self._authority, *self.wallets):
            await self.ask("requestAirdrop", str(key.pubkey()), 10**12)
        payer, mint = self._authority.pubkey(), self._mint.pubkey()
        roles = MintAuthorities(*(payer for _ in fields(MintAuthorities)))
        await self._do(create_mint(self._spec, payer, mint, roles, 10**7), self._mint)
        for owner in (self._treasury, *(key.pubkey() for key in self.wallets)):
            made = tx.create_token_account(payer, owner, self._token)
            await self._do([made, tx.mint_to(self._token, owner, payer, _START_UNITS)])

    async def _do(self, instructions: Iterable[Instruction], *others: Keypair) -> None:
        blockhash = await self._blockhash()
        message = Message.new_with_blockhash(
            list(instructions), self._authority.pubkey(), blockhash
        )
        raw = bytes(Transaction([self._authority, *others], message, blockhash))
        await self.ask("sendTransaction", base64.b64encode(raw).decode(), {"encoding": "base64"})

    async def _blockhash(self) -> Hash:
        found = await self.ask("getLatestBlockhash", {"commitment": "confirmed"})
        return Hash.from_string(found["value"]["blockhash"])

    async def sign(self, count: int) -> list[Signed]:
        """One unit each, the wallets in turn; good for the next 150 blocks."""
        blockhash, out = await self._blockhash(), []
        for number in range(count):
            wallet = self.wallets[number % WALLETS]
            made = payment(self._token, wallet, self._treasury, blockhash)
            raw = base64.b64encode(bytes(made)).decode()
            out.append(Signed(str(made.signatures[0]), raw))
        self.signed += count
        return out

    async def received(self) -> int:
        """How many payments are on the treasury's account, at the newest state."""
        level = {"commitment": "processed"}
        found = await self.ask("getTokenAccountBalance", str(self.paid_to), level)
        return int(found["value"]["amount"]) - _START_UNITS
