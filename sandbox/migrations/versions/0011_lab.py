"""Tables of the slice `lab`."""

revision = "0011_lab"
down_revision = "0010_settlement"


def upgrade() -> None:
    pass
