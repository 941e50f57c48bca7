"""Accounts at every commitment: the machine's current state plus pre-images per slot.

The state of a key at slot S is its first pre-image from a slot above S, else what is current.
Layers at and below the final slot are dropped; a reorg puts pre-images back.
"""

from __future__ import annotations

from collections.abc import Iterable

from solders.account import Account
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey

from sandbox.devnets.solana.tokens import ACCOUNT_LEN, TokenIndex, is_found_alike

NOTHING = Account(lamports=0, data=b"", owner=Pubkey.default())
_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_CODE_KEY = slice(4, 36)  # of a program's account: where its code lies


class Accounts:
    """Owns every write to the machine that is not a transaction."""

    def __init__(self, svm: LiteSVM) -> None:
        self._svm = svm
        self._layers: dict[bytes, list[tuple[int, Account | None]]] = {}
        self._touched: dict[int, dict[bytes, None]] = {}
        self.tokens = TokenIndex()
        self.unsaved: set[bytes] = set()  # changed in final slots since the last checkpoint
        # Programs that a reorg took back: the machine keeps their code, and panics when called.
        self.undeployed: set[bytes] = set()
        self._program_of: dict[bytes, bytes] = {}  # by the account that holds the code

    def current(self, key: bytes) -> Account | None:
        account = self._svm.get_account(Pubkey(key))
        return None if account is None or account.lamports == 0 else account

    def at(self, key: bytes, slot: int | None) -> Account | None:
        """The account after `slot` (None: the open slot)."""
        if slot is not None:
            for touched, before in self._layers.get(key, ()):
                if touched > slot:
                    return before
        return self.current(key)

    def put(self, key: bytes, account: Account | None) -> None:
        """Overwrite without history (genesis, replay, undo)."""
        if account is None:
            former = self.current(key)
            if former is not None and former.executable:
                self.undeployed.add(key)
        elif account.executable:
            self.undeployed.discard(key)
            self._note_program(key, account)
        if account is not None and account.executable:
            self._load(key, account)
        else:
            self._svm.set_account(Pubkey(key), NOTHING if account is None else account)
        self.tokens.note(key, account)

    def put_all(self, images: Iterable[tuple[bytes, Account | None]]) -> None:
        """`put` each; the machine loads a program with its code, which must be there before.

        An upgrade or a closing changes the code alone, and the machine would run the former one.
        """
        programs, changed = {}, []
        for key, account in images:
            if account is not None and account.executable:
                programs[key] = account
            else:
                self.put(key, account)
                changed.append(key)
        for program in filter(None, map(self._program_of.get, changed)):
            account = self.current(program)
            if account is not None and account.executable:
                programs.setdefault(program, account)
        for key, account in programs.items():
            self.put(key, account)

    def touched(self, slot: int, key: bytes, before: Account | None, after: Account | None) -> None:
        """Note that `slot` changed `key`; only the first pre-image of a slot is kept."""
        keys = self._touched.setdefault(slot, {})
        if key not in keys:
            keys[key] = None
            self._layers.setdefault(key, []).append((slot, before))
        if after is not None and after.executable:
            self._note_program(key, after)
        if (program := self._program_of.get(key)) is not None:
            # The machine may have put the program away before its code, and runs the former one.
            self._reload(program)
        self.tokens.note(key, after, before)

    def _reload(self, program: bytes) -> None:
        account = self.current(program)
        if account is not None and account.executable:
            self._load(program, account)

    def _load(self, key: bytes, account: Account) -> None:
        """Set a program; one whose code is closed stays, and cannot be called."""
        try:
            self._svm.set_account(Pubkey(key), account)
        except Exception:  # its class, LiteSVMError, is exported nowhere
            code = Pubkey(account.data[_CODE_KEY])
            held = self._svm.get_account(code)
            self._svm.set_account(code, NOTHING)
            self._svm.set_account(Pubkey(key), account)
            if held is not None:
                self._svm.set_account(code, held)

    def _note_program(self, key: bytes, account: Account) -> None:
        if account.owner == _LOADER:
            self._program_of[account.data[_CODE_KEY]] = key

    def keys_of(self, slot: int) -> Iterable[bytes]:
        """What `slot` changed, while it is not final."""
        return self._touched.get(slot, {})

    def layered(self) -> Iterable[bytes]:
        """Every key with a pre-image: what may differ between commitments."""
        return self._layers

    def is_layered(self, key: bytes) -> bool:
        return key in self._layers

    def finalize(self, slot: int) -> None:
        """Forget the pre-images of `slot`: nothing below it can be asked for any more."""
        for key in self._touched.pop(slot, ()):
            layers = self._layers[key]
            while layers and layers[0][0] <= slot:
                _, former = layers.pop(0)
                self._unlist(key, former)
            if not layers:
                del self._layers[key]
            self.unsaved.add(key)

    def roll_back(self, slot: int) -> None:
        """Give every key the state it had after `slot`."""
        above = [touched for touched in self._touched if touched > slot]
        keys = {key for touched in above for key in self._touched.pop(touched)}
        images, undone = [], []
        for key in keys:
            layers = self._layers[key]
            first = next(i for i, (touched, _) in enumerate(layers) if touched > slot)
            images.append((key, layers[first][1]))
            formers = (self.current(key), *(before for _, before in layers[first + 1 :]))
            undone += [(key, former) for former in formers]
            del layers[first:]
        self.put_all(images)
        for key, former in undone:
            self._unlist(key, former)
        for key in keys:
            if not self._layers[key]:
                del self._layers[key]

    def _unlist(self, key: bytes, former: Account | None) -> None:
        """Take a state that cannot be seen any more out of the token index."""
        if former is not None and len(former.data) >= ACCOUNT_LEN:
            layers = self._layers[key]
            following = layers[0][1] if layers else self.current(key)
            if not is_found_alike(former, following):
                self.tokens.forget(key, former, [*(b for _, b in layers), self.current(key)])
