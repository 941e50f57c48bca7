"""The epochs that a world goes on from: leaf 0 of a restored one, and proofs across them. Pure.

Leaf 0 of every epoch but the first is `world.restored`; its `kept` names the former epoch and how
many of its entries this world goes on from (decision 26). What lies behind them never happened.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sandbox.eventlog.checkpoint import Checkpoint, open_checkpoint
from sandbox.eventlog.errors import BadReceipt
from sandbox.eventlog.keys import FIRST_EPOCH, of_epoch
from sandbox.eventlog.leaf import parse
from sandbox.eventlog.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from sandbox.eventlog.note import BadNote, Verifier

EVENT: Final = "world.restored"


class BrokenLine(ValueError):
    """An epoch does not say, as it must, which former one it goes on from."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a former epoch is this world's: everything under this checkpoint."""

    epoch: int
    verifier: Verifier
    checkpoint: Checkpoint


def epoch_of(log: Verifier) -> int:
    """The number in a log's name, `<log>/e<N>`; a log that is not named so is its own first."""
    number = log.name.rpartition("/e")[2]
    return int(number) if number.isascii() and number.isdigit() else FIRST_EPOCH


def kept_by(leaf: bytes, log: Verifier) -> Kept | None:
    """What the epoch of `log` goes on from, by its leaf 0; None for the first epoch.

    Raises `BrokenLine`; `MalformedLeaf` for bytes that are no leaf.
    """
    told, epoch = parse(leaf), epoch_of(log)
    if told["type"] != EVENT:
        if epoch == FIRST_EPOCH:
            return None
        raise BrokenLine(f"epoch {epoch} begins with {told['type']} and not with {EVENT}")
    try:
        kept = told["data"]["kept"]
        former, size, root = kept["epoch"], kept["size"], _root(kept["root"])
        is_whole = type(former) is int and type(size) is int and told["merchant"] is None
        if not is_whole or told["data"]["epoch"] != epoch:
            raise BrokenLine(f"epoch {epoch} begins with the {EVENT} of another")
        if not FIRST_EPOCH <= former < epoch or size < 1:
            raise BrokenLine(f"epoch {epoch} cannot go on from {size} entries of epoch {former}")
        verifier = Verifier.parse(of_epoch(log.vkey, former))
    except (KeyError, TypeError, binascii.Error, BadNote) as error:
        raise BrokenLine(f"epoch {epoch} begins with no whole {EVENT}: {error!r}") from error
    if kept["origin"] != verifier.name:
        raise BrokenLine(f"epoch {epoch} goes on from {kept['origin']}, not {verifier.name}")
    return Kept(former, verifier, Checkpoint(verifier.name, size, root))


def _root(encoded: str) -> bytes:
    root = base64.b64decode(encoded, validate=True)
    if len(root) != HASH_SIZE:
        raise binascii.Error("the root is no SHA-256 hash")
    return root


@dataclass(frozen=True, slots=True)
class Line:
    """Epochs of one world that are shown to hold together; of all but the newest, what was kept."""

    newest: Verifier
    former: Mapping[int, Kept]

    def verify(self, receipt: Mapping[str, Any]) -> int:
        """The position that a receipt (`Inclusion.as_json`) proves. Raises `BadReceipt`."""
        try:
            kept = self._kept(receipt["epoch"])
            log = self.newest if kept is None else kept.verifier
            return _verify(receipt, log, None if kept is None else kept.checkpoint)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadReceipt(str(error) or repr(error)) from error

    def _kept(self, epoch: int) -> Kept | None:
        newest = epoch_of(self.newest)
        if epoch == newest:
            return None
        if epoch not in self.former:
            raise BadReceipt(
                f"its checkpoint is of epoch {epoch}, and nothing in it shows that epoch {newest}"
                " goes on from there; take the receipt anew, or verify it as one of its own epoch"
            )
        return self.former[epoch]


def open_line(links: Sequence[Mapping[str, Any]], vkey: str) -> Line:
    """The line that receipts of leaves 0 show, the newest epoch's (that of `vkey`) first.

    Raises `BadReceipt`.
    """
    former: dict[int, Kept] = {}
    checkpoint: Checkpoint | None = None
    try:
        newest = log = Verifier.parse(vkey.strip())
        for link in links:
            if _verify(link, log, checkpoint) != 0:
                raise BadReceipt("what shows the former epochs is no leaf 0")
            kept = kept_by(base64.b64decode(link["leaf"], validate=True), log)
            if kept is None:
                raise BadReceipt(f"epoch {epoch_of(log)} goes on from no other")
            former[kept.epoch] = kept
            log, checkpoint = kept.verifier, kept.checkpoint
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadReceipt(str(error) or repr(error)) from error
    return Line(newest, former)


def _verify(receipt: Mapping[str, Any], log: Verifier, kept: Checkpoint | None) -> int:
    """One receipt under `log`; of a former epoch, under what was `kept` of it."""
    checkpoint = open_checkpoint(receipt["checkpoint"].encode(), log)
    leaf = base64.b64decode(receipt["leaf"], validate=True)
    proof = [base64.b64decode(hash_, validate=True) for hash_ in receipt["proof"]]
    position = receipt["position"]
    parse(leaf)
    if isinstance(position, bool) or not isinstance(position, int):
        raise BadReceipt("the position is not a number")
    # Only the origin is signed; a receipt must not say another epoch than its checkpoint.
    if not checkpoint.origin.endswith(f"/e{receipt['epoch']}"):
        raise BadReceipt(f"its checkpoint is not of epoch {receipt['epoch']}")
    # A proof under a later checkpoint could be one of what this world does not go on from.
    if kept is not None and checkpoint != kept:
        raise BadReceipt(
            f"its checkpoint has {checkpoint.size} entries of {checkpoint.origin}; this world goes"
            f" on from {kept.size} of them under a root of its own: take the receipt anew"
        )
    if not verify_inclusion(leaf_hash(leaf), position, checkpoint.size, proof, checkpoint.root):
        raise BadReceipt(f"the proof does not lead from position {position} to the signed root")
    return position
