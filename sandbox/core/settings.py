"""Settings of API, worker and cli: environment variables with the prefix `SANDBOX_`.

Only wiring and the front doors read them.
"""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sandbox.core.chance import MAX_SEED


class Settings(BaseSettings):
    """Where the parts of one world are, and what may be tuned."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_", extra="ignore")

    data_dir: Path = Path(".sandbox")
    database_url: str = Field("", repr=False, description="as the role sbx_app, which owns nothing")
    owner_url: str = Field(
        "", repr=False, description="as a role that may make databases and roles: prepare only"
    )
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: str = Field(
        "", description="further names that clients call the API by, separated by commas"
    )
    public_url: str = Field("", description="what payment pages and links begin with")
    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="what a seeded world was made with; None: no seed"
    )
    solana_rpc: str = "http://127.0.0.1:8899"
    evm_rpc: str = "http://127.0.0.1:8545"
    solana_ws: str = Field("", description="where the node tells of new slots; empty: it is asked")
    evm_ws: str = Field("", description="where the node tells of new blocks; empty: it is asked")
    evm_public_rpc: str = Field("", description="told to buyers' wallets; empty: nothing is told")
    devnets: str = Field("", description="names of chains that are the sandbox's own, by commas")
    log_origin: str = "kzte-sandbox.local/log"
    statement_max_age_s: int = Field(
        0, ge=0, description="age of the bank's newest statement above which nothing is minted"
    )
    request_log_kept: int = Field(
        10_000, ge=0, description="how many requests the log keeps; 0: none is written"
    )
    webhook_allow_loopback: bool = True
    keeps_worlds: bool = Field(False, description="a supervisor keeps snapshots of this world")
    control_fd: int | None = Field(None, description="our end of the supervisor's control line")
    test_panel: bool | None = Field(
        None, description="simulated payers on the payment page; default: where it is loopback's"
    )
    log_level: str = "info"

    @property
    def keys_dir(self) -> Path:
        """Private keys of the world, mode 0700."""
        return self.data_dir / "keys"

    @property
    def sealed_dir(self) -> Path:
        """Logs of epochs that were left, as static files."""
        return self.data_dir / "log"

    @property
    def hosts(self) -> list[str]:
        """The names of the API beside those of loopback."""
        given = [name.strip() for name in self.allowed_hosts.split(",")]
        listening = "" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - no name
        return [name for name in (*given, listening, urlsplit(self.public_url).hostname) if name]

    @property
    def shows_test_panel(self) -> bool:
        """Whether whoever has a payment page's link may have simulated payers pay it."""
        is_at_home = self.host == "127.0.0.1" and not self.public_url
        return is_at_home if self.test_panel is None else self.test_panel

    @property
    def base_url(self) -> str:
        """The address that people and links use."""
        return self.public_url or f"http://{self.host}:{self.port}"
