"""Tables of the slice `webhooks`."""

revision = "0007_webhooks"
down_revision = "0006_parties"


def upgrade() -> None:
    pass
