"""Services elsewhere, and which databases they serve."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("service", sa.String(16), nullable=False),
        sa.Column("hostname", sa.String(256), nullable=False),
        sa.Column("token", sa.String(256), nullable=False),
        sa.Column("grant_json", sa.Text, nullable=False),
        sa.Column("names", sa.Text, nullable=False),
        sa.Column("joined_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("health", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_agents"),
    )
    op.create_table(
        "served",
        sa.Column("database", sa.String(256), nullable=False),
        sa.Column("agent", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("database", "agent", name="pk_served"),
    )
    op.create_index("ix_served_agent", "served", ["agent"])


def downgrade() -> None:
    op.drop_table("served")
    op.drop_table("agents")
