"""Tables of the slice `payments`."""

revision = "0009_payments"
down_revision = "0008_reserve"


def upgrade() -> None:
    pass
