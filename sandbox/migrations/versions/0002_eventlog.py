"""Tables of the slice `eventlog`."""

revision = "0002_eventlog"
down_revision = "0001_core"


def upgrade() -> None:
    pass
