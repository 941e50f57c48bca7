"""Every secret of a sandbox in every form in which it could be told, and where one is found."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sandbox.cli.endpoints import JsonObject
from sandbox.devnets.solana.base58 import encode

_HEX_KEY = re.compile(r"(?:0x)?([0-9a-f]{64})")
# Beside the private keys in their folder, and made to be shown.
PUBLIC_FILES = frozenset({"log.vkey", "webhooks.public.json"})


class Secrets:
    """Name → the texts that would give it away."""

    def __init__(self) -> None:
        self.forms: dict[str, set[str]] = {}

    def add_text(self, name: str, text: str) -> None:
        """A password or a key as it is sent."""
        self.forms.setdefault(name, set()).update({text, quote(text, safe="")})

    def add_api_key(self, name: str, key: str) -> None:
        """The last part alone is the secret one; the part before is the key's public id."""
        self.add_text(name, key)
        self.add_text(name, key.rsplit("_", 1)[1])

    def add_bytes(self, name: str, key: bytes) -> None:
        """A private key: hex, base58, base64 of both alphabets, and as a list of numbers."""
        numbers = [str(byte) for byte in key]
        found = {key.hex(), key.hex().upper(), encode(key)}
        for whole in (base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()):
            found.add(whole.rstrip("="))
        found.update(separator.join(numbers) for separator in (",", ", "))
        self.forms.setdefault(name, set()).update(found)

    def add_webhook_secret(self, name: str, secret: str) -> None:
        """`whsec_` and the base64 of the bytes that sign."""
        self.add_text(name, secret)
        self.add_bytes(name, base64.b64decode(secret.removeprefix("whsec_")))

    def add_endpoints(self, endpoints: JsonObject) -> None:
        """The keys of `endpoints.json`, and the password in its database URL."""
        for name, value in endpoints["keys"].items():
            if name != "merchant_id":
                self.add_api_key(f"endpoints.json keys.{name}", value)
        password = urlsplit(endpoints["database"]).password
        assert password
        self.add_text("endpoints.json database", unquote(password))

    def add_folder(self, data_dir: Path) -> None:
        """Passwords of PostgreSQL, keys of the API, and every private key in a file."""
        for name, password in json.loads((data_dir / "postgres.json").read_text()).items():
            self.add_text(f"postgres.json {name}", password)
        for path in secret_files(data_dir):
            before = len(self.forms)
            self._add_file(str(path.relative_to(data_dir)), path.read_text().strip())
            assert len(self.forms) > before, f"{path} holds no key that this test knows to read"

    def _add_file(self, name: str, text: str) -> None:
        if not text.startswith(("{", "[")):
            self._add_key(name, text)
            return
        found = json.loads(text)
        for part, value in found.items() if isinstance(found, dict) else [("", found)]:
            self._add_key(f"{name} {part}".strip(), value)

    def _add_key(self, name: str, value: object) -> None:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            # The keys that sign webhooks.
            for number, key in enumerate(value):
                self._add_key(f"{name} {number}", key["seed"])
        elif isinstance(value, list):
            # A keypair of Solana: the private half, then the public one, which anyone may see.
            self.add_bytes(name, bytes(value))
            self.add_bytes(name, bytes(value[:32]))
        elif isinstance(value, str) and value.startswith("sk_sbx_"):
            self.add_api_key(name, value)
        elif isinstance(value, str) and (key := _HEX_KEY.fullmatch(value)):
            self.add_bytes(name, bytes.fromhex(key[1]))

    def told_in(self, text: str) -> list[str]:
        """The names of those that a text gives away."""
        return sorted(
            name for name, forms in self.forms.items() if any(form in text for form in forms)
        )


def secret_files(data_dir: Path) -> list[Path]:
    """Every file that holds a private key or a key of the API."""
    folders = (data_dir / "keys", data_dir / "wallets")
    found = (path for folder in folders for path in folder.iterdir())
    return sorted(path for path in found if path.name not in PUBLIC_FILES)


def command_lines(pids: Iterable[int]) -> Iterator[str]:
    """What anyone on this machine may read of processes that still run (proc(5))."""
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            yield Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
