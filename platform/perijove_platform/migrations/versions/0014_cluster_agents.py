"""How many agents a cluster has, and which versions of them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clusters", sa.Column("agents", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("clusters", sa.Column("agent_versions", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    with op.batch_alter_table("clusters") as table:
        table.drop_column("agent_versions")
        table.drop_column("agents")
