"""Tables of the slice `reserve`."""

revision = "0008_reserve"
down_revision = "0007_webhooks"


def upgrade() -> None:
    pass
