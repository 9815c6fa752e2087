"""The cluster's keys, sealed, and the number that rises when they change."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sealed",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sealed"),
    )
    counters = sa.table("counters", sa.column("name"), sa.column("value"))
    op.bulk_insert(counters, [{"name": "key_revision", "value": 0}])


def downgrade() -> None:
    op.drop_table("sealed")
    op.execute("DELETE FROM counters WHERE name = 'key_revision'")
