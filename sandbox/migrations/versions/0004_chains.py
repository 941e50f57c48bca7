"""Tables of the slice `chains`."""

revision = "0004_chains"
down_revision = "0003_ledger"


def upgrade() -> None:
    pass
