"""Which Kubernetes cluster an agent's credential belongs to, and when one was refused in another."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cluster_credentials", sa.Column("kubernetes_uid", sa.String(length=128), nullable=True))
    op.add_column("clusters", sa.Column("stranger_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("clusters") as table:
        table.drop_column("stranger_at")
    with op.batch_alter_table("cluster_credentials") as table:
        table.drop_column("kubernetes_uid")
