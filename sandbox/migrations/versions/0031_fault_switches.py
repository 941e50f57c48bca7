"""Failure switches of the bank and of webhooks in one table; what is armed stays armed."""

import sqlalchemy as sa
from alembic import op

revision = "0031_fault_switches"
down_revision = "0030_lost_answers"


def upgrade() -> None:
    op.create_table(
        "fault_switch",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("left", sa.Integer(), nullable=False),
        sa.CheckConstraint('"left" >= 0', name=op.f("ck_fault_switch_left")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fault_switch")),
    )
    op.execute('GRANT SELECT, INSERT, UPDATE ("left") ON fault_switch TO sbx_app')
    for former in ("bank_sim.fault", "webhook_fault"):
        op.execute(
            f'INSERT INTO fault_switch (name, "left") SELECT name, "left" FROM {former}'  # noqa: S608 - SQL of our own, no input
        )
    op.drop_table("fault", schema="bank_sim")
    op.drop_table("webhook_fault")
