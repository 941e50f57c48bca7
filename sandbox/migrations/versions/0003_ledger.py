"""Tables of the slice `ledger`."""

revision = "0003_ledger"
down_revision = "0002_eventlog"


def upgrade() -> None:
    pass
