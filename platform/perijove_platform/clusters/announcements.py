"""Tells the streams of an organization what became of its clusters."""

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.clusters.public import public_cluster
from perijove_platform.clusters.schemas import Cluster
from perijove_platform.clusters.store import ClusterRow, statuses
from perijove_platform.events import EventBus


async def publish_updated(session: AsyncSession, events: EventBus, row: ClusterRow) -> Cluster:
    """Within the transaction of the change; returns what was told."""
    await session.flush()
    cluster = public_cluster(row, (await statuses(session, [row.id])).get(row.id))
    await events.publish(session, "cluster.updated", row.organization_id, row.id, cluster)
    return cluster
