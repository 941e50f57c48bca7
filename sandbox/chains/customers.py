"""The `Customers` protocol: simulated people with wallets on one chain, and how they misuse them.

A customer is a name; its key is a file that every wallet of the chain can import. Amounts are base
units of the token; an `option` is a session's way to be paid there (`ReceiveOption.fields`).
"""

import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from sandbox.core.errors import SandboxError

Option = Mapping[str, Any]

Manner = Literal[
    "plain",
    "no_memo",
    "no_reference",
    "bare",
    "extra",
    "guarded",
    "spoofed",
    "token_contract",
    "other_token",
    "native_coin",
]
"""How the transaction of a payment is shaped.

plain: as the URL says. no_memo, no_reference, bare: without one of them, or both. extra: a wallet's
own instruction or data behind the transfer. guarded: wrapped in what wallets add to protect their
users. spoofed: a stranger first sends dust elsewhere that carries this session's keys.
token_contract: to the token's own address. other_token, native_coin: not with KZTE at all.
"""
MANNERS: tuple[Manner, ...] = get_args(Manner)


class MannerUnknown(SandboxError):
    """Nobody can misuse a wallet of this chain that way."""

    status, code = 422, "not_on_this_chain"

    def __init__(self, chain: str, manner: str) -> None:
        super().__init__(f"{chain}: a payment cannot be {manner} here", chain=chain, manner=manner)


class Customers(Protocol):
    """What is sent has been confirmed when a method answers; transaction ids are the answers.

    Raises `BadPaymentUrl`, `PaymentRefused` (no tokens moved) and `ChainUnavailable`.
    """

    chain: str
    manners: Collection[Manner]

    def address(self, name: str) -> str:
        """Where this customer gets tokens; its key is made on first use. No network."""
        ...

    async def units(self, name: str, option: Option) -> int:
        """Units of the option's token that it holds."""
        ...

    async def pay(
        self, name: str, option: Option, units: int, manner: Manner = "plain"
    ) -> Sequence[str]:
        """Pay the option; the paying transaction comes last. Raises `MannerUnknown`."""
        ...

    async def pay_together(self, name: str, parts: Sequence[tuple[Option, int]]) -> str:
        """Pay several options in one transaction, as an exchange does for its own customers."""
        ...

    async def pay_sponsored(self, name: str, option: Option, units: int, offered: str) -> str:
        """Pay with a transaction that somebody else pays the fee of. Raises `NotSponsored`."""
        ...

    async def give(self, name: str, to: str, option: Option, units: int) -> str:
        """Units to another address, for no session."""
        ...

    async def resend(self, tx: str) -> None:
        """Send the bytes of a known transaction once more; a refusal is what should happen."""
        ...

    async def aclose(self) -> None: ...


def stored(path: Path, make: Callable[[], str]) -> str:
    """The text of a private file (mode 0600), which is made if it is not there."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(make())
    return path.read_text()


class Keys:
    """Customers' keys as files of `folder`, each read once.

    Where a process may not write, they live as long as it does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._texts: dict[str, str] = {}

    def text(self, file: str, make: Callable[[], str]) -> str:
        """What the file holds, or will."""
        if file not in self._texts:
            try:
                self._texts[file] = stored(self._folder / file, make)
            except OSError as error:
                if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                    raise
                self._texts[file] = make()
        return self._texts[file]
