"""A real chain as the people on it use it, with blocks made by hand: what a scenario plays on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from sandbox.chains.port import Chain, Command
from sandbox.core.db import Database

Option = Mapping[str, Any]
FINAL_BLOCKS = 10
"""Enough of them make whatever is in a block final, on either devnet."""


class Ground(Protocol):
    """People know the node and what a session tells them; nothing of the sandbox.

    What they send waits until `mine`. `treasury` is where the issuer keeps its units.
    """

    name: str
    rpc_url: str
    chain: Chain
    native: str
    """What a stray calls the chain's own coin."""

    @property
    def treasury(self) -> str: ...

    async def deploy(self, database: Database, keys_dir: Path, node: str) -> None:
        """Put the token on the chain; from then on `chain` reaches the node at `node`."""
        ...

    async def check_deployment(self, database: Database, keys_dir: Path, node: str) -> None:
        """What a start of the sandbox does when its node is at `node`."""
        ...

    async def restarted(self, database: Database) -> Chain:
        """The adapter as another process makes it, without keys."""
        ...

    async def aclose(self) -> None: ...

    # Time.

    async def run(self) -> None:
        """Blocks come by themselves."""
        ...

    async def stand_still(self) -> None: ...

    async def mine(self, blocks: int = 1) -> None: ...

    async def reorg(self, blocks: int, mode: Literal["drop", "reinclude"]) -> None:
        """The youngest `blocks` are replaced; what they held is lost, or comes again at once."""
        ...

    # People. A payer is an address whose key this ground keeps.

    async def payer(self) -> str:
        """Somebody with coin for gas and no units."""
        ...

    async def pay(self, payer: str, option: Option, units: int) -> str:
        """By the option's URL, with an ordinary wallet; raises `PaymentRefused`."""
        ...

    async def pay_together(self, payer: str, parts: Sequence[tuple[Option, int]]) -> str:
        """Several sessions in one transaction."""
        ...

    async def pay_by_hand(self, payer: str, url: str) -> str:
        """By an independent reading of the URL, from its specification's grammar."""
        ...

    async def force(self, payer: str, to: str, units: int) -> str:
        """A transfer that goes into a block also when it must fail there."""
        ...

    async def send_coin(self, payer: str, to: str, amount: int) -> str: ...

    async def other_token(self, payer: str) -> str:
        """A second token, of which the payer has plenty."""
        ...

    async def send_other(self, payer: str, token: str, option: Option, amount: int) -> str:
        """Another token, sent as the option says in everything else."""
        ...

    async def order(self, command: Command) -> str:
        """An act of the issuer's keys that no slice asked for."""
        ...

    async def raw(self, tx: str) -> Any:
        """The bytes of a transaction, to be sent again."""
        ...

    async def resend(self, raw: Any) -> None: ...

    # Facts, read without the sandbox.

    async def units(self, address: str) -> int: ...

    async def coin(self, address: str) -> int: ...


def place_of(option: Option) -> str:
    """Where a session is paid: the treasury, or its deposit address."""
    return str(option.get("recipient") or option["address"])
