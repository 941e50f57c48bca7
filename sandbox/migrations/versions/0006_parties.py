"""Tables of the slice `parties`."""

revision = "0006_parties"
down_revision = "0005_bank"


def upgrade() -> None:
    pass
