"""The seed of a world that can be made again, and how much each stream has drawn from it."""

import sqlalchemy as sa
from alembic import op

revision = "0029_seed"
down_revision = "0028_explain"


def upgrade() -> None:
    op.create_table(
        "seed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_seed_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seed")),
    )
    op.create_table(
        "seed_stream",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("drawn", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_seed_stream")),
    )
    op.execute("GRANT SELECT, INSERT ON seed TO sbx_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON seed_stream TO sbx_app")
