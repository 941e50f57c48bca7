"""Tables of the slice `bank`."""

revision = "0005_bank"
down_revision = "0004_chains"


def upgrade() -> None:
    pass
