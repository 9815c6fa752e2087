"""How often a token may still be used."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("uses_left", sa.BigInteger, nullable=True, server_default="1"))


def downgrade() -> None:
    op.drop_column("tokens", "uses_left")
