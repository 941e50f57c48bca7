"""Tables of the slice `settlement`."""

revision = "0010_settlement"
down_revision = "0009_payments"


def upgrade() -> None:
    pass
