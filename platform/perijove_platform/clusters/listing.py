"""A page of clusters: those that every organization has come first, the organization's own follow."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from perijove_platform.clusters.public import public_cluster
from perijove_platform.clusters.schemas import Cluster
from perijove_platform.clusters.store import ClusterStore, statuses
from perijove_platform.pagination import ListParams, Page, page
from perijove_platform.rbac import Caller


async def list_page(
    session: AsyncSession, caller: Caller, local: Sequence[Cluster], params: ListParams
) -> Page[Cluster]:
    """The page that `params` names of the list that begins with `local`."""
    names = [cluster.id for cluster in local]
    if params.before is not None:
        if params.before in names and params.after is None:
            head = local[: names.index(params.before)]
            return page(list(head[-params.limit :]), len(head) > params.limit)
        rows, more = await _registered(session, caller, params)
        room = 0 if more else params.limit - len(rows)
        head = local[max(0, len(local) - room) :]
        return page([*head, *rows], more or len(head) < len(local))
    head = local if params.after is None else ()
    if params.after in names:
        head = local[names.index(params.after) + 1 :]
        params = params.model_copy(update={"after": None})
    head = head[: params.limit + 1]
    if len(head) > params.limit:
        return page(list(head[:-1]), True)
    rows, more = await _registered(session, caller, params.model_copy(update={"limit": params.limit - len(head)}))
    return page([*head, *rows], more)


async def _registered(session: AsyncSession, caller: Caller, params: ListParams) -> tuple[list[Cluster], bool]:
    rows, more = await ClusterStore(session, caller.organization_id).page(params)
    found = await statuses(session, [row.id for row in rows])
    return [public_cluster(row, found.get(row.id)) for row in rows], more
