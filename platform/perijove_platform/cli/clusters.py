"""`perijove clusters`."""

import os
from pathlib import Path
from urllib.parse import quote, urlsplit

import click

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.session import Session, age_text, field, size_text, with_session

CLUSTERS = "/v1/clusters"
_CHART = "deploy/charts/perijove-agent"
_HOUR = 3600


@click.group("clusters")
def command() -> None:
    """Register Kubernetes clusters, see how they are, and set quotas."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@with_session
def list_clusters(session: Session, limit: int) -> None:
    """List clusters; this platform's own machine is the first."""
    session.table(
        session.pages(CLUSTERS, limit=limit),
        [
            ("NAME", field("name")),
            ("STATE", field("state")),
            ("KUBERNETES", field("kubernetes_version")),
            ("NODES", lambda cluster: _nodes(cluster, short=True)),
            ("CPUS", _cpus),
            ("MEMORY", _memory),
            ("ACCELERATORS", _accelerators),
            ("REASON", field("state_reason")),
        ],
        empty="There are no clusters.",
    )


@command.command()
@click.argument("name")
@click.option("--description", help="For people.")
@click.option("--token-hours", type=click.IntRange(1, 720), default=24, show_default=True, help="The token is valid.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the token there, not here.")
@with_session
def create(session: Session, name: str, description: str | None, token_hours: int, token_file: Path | None) -> None:
    """Register a cluster NAME, and print the token by which its agent joins."""
    _refuse_existing(token_file)
    body = {"name": name, "description": description, "token_expires_in_seconds": token_hours * _HOUR}
    cluster = session.call("POST", CLUSTERS, json=body)
    _show_token(session, cluster, cluster["registration_token"], token_file)


@command.command()
@click.argument("cluster")
@with_session
def get(session: Session, cluster: str) -> None:
    """Show a cluster, by name or id."""
    found = session.call("GET", _url(cluster))
    session.show(found, "\n".join(_lines(found)))


@command.command()
@click.argument("cluster")
@click.option("--token-hours", type=click.IntRange(1, 720), default=24, show_default=True, help="The token is valid.")
@click.option("--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the token there, not here.")
@with_session
def rotate(session: Session, cluster: str, token_hours: int, token_file: Path | None) -> None:
    """Make a new registration token, which ends the one before. The agent that is there goes on until it is used."""
    _refuse_existing(token_file)
    body = {"expires_in_seconds": token_hours * _HOUR}
    token = session.call("POST", f"{_url(cluster)}/registration_token", json=body)
    _show_token(session, token, token, token_file)


@command.command()
@click.argument("cluster")
@with_session
def revoke(session: Session, cluster: str) -> None:
    """Let a cluster's agent in no more, until one registers with a new token."""
    found = session.call("DELETE", f"{_url(cluster)}/credential")
    session.show(found, f"{found['name']} is {found['state']}: no agent of it is let in until you rotate its token.")


@command.command("quota")
@click.argument("cluster")
@click.argument("project", required=False)
@click.argument("resources", nargs=-1, metavar="[RESOURCE=QUANTITY]...")
@click.option("--cohort", help="Lend to and borrow from the projects of this cohort; by default the organization's.")
@click.option("--no-cohort", is_flag=True, help="Neither lend nor borrow: what is named here is all that it gets.")
@click.option("--clear", is_flag=True, help="Set nothing aside for the project.")
@with_session
def quotas(
    session: Session,
    cluster: str,
    project: str | None,
    resources: tuple[str, ...],
    cohort: str | None,
    no_cohort: bool,
    clear: bool,
) -> None:
    """Show, set or clear what is set aside for projects on a cluster.

    Resources are named as Kubernetes does: cpu=8 memory=32Gi nvidia.com/gpu=2.
    """
    if cohort and no_cohort:
        raise click.UsageError("Give --cohort or --no-cohort, not both.")
    if clear and (resources or cohort or no_cohort):
        raise click.UsageError("--clear goes alone.")
    if not resources and (cohort or no_cohort):
        raise click.UsageError("A cohort goes with resources, as cpu=8.")
    if project is None:
        if clear:
            raise click.UsageError("--clear needs a PROJECT.")
        _list_quotas(session, cluster)
        return
    url = f"{_url(cluster)}/quotas/{quote(project, safe='')}"
    if clear:
        gone = session.call("DELETE", url)
        session.show(gone, f"{project} uses what the others leave.")
        return
    if not resources:
        found = session.call("GET", url)
    else:
        given: Json = {"cohort": None} if no_cohort else {"cohort": cohort} if cohort else {}
        found = session.call("PUT", url, json={"resources": dict(map(_pair, resources)), **given})
    session.show(found, f"{found['project_id']}: {_amounts(found['resources'])}, {_cohort(found)}")


@command.command()
@click.argument("clusters", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Even while jobs have not ended there; they fail.")
@with_session
def delete(session: Session, clusters: tuple[str, ...], force: bool) -> None:
    """Forget clusters and end their agents' access. What runs in them is not touched."""
    params = {"force": "true"} if force else {}
    deleted = (session.call("DELETE", _url(cluster), params=params) for cluster in clusters)
    session.show_each(deleted, lambda cluster: f"Deleted {cluster['id']}.")


def _url(cluster: str) -> str:
    return f"{CLUSTERS}/{quote(cluster, safe='')}"


def _list_quotas(session: Session, cluster: str) -> None:
    session.table(
        session.pages(f"{_url(cluster)}/quotas"),
        [
            ("PROJECT", field("project_id")),
            ("RESOURCES", lambda found: _amounts(found["resources"])),
            ("COHORT", field("cohort")),
        ],
        empty="Nothing is set aside: every project uses what the others leave.",
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, quantity = text.partition("=")
    if not (name and equals and quantity):
        raise click.UsageError(f"'{text}' is not a resource and its quantity; cpu=8 is.")
    return name, quantity


def _amounts(resources: Json) -> str:
    return " ".join(f"{name}={quantity}" for name, quantity in resources.items())


def _cohort(found: Json) -> str:
    return f"in the cohort {found['cohort']}" if found["cohort"] else "in no cohort"


def _refuse_existing(token_file: Path | None) -> None:
    if token_file is not None and token_file.exists():
        raise Failed(f"{token_file} exists. Remove it, or give another path with --token-file.")


def _show_token(session: Session, answer: Json, token: Json, token_file: Path | None) -> None:
    """The token, or where it lies; in the latter case it is not in the JSON either."""
    if token_file is None:
        where = f"registration token  {token['token']}"
        source = "/dev/stdin  # paste it, then Ctrl-D"
    else:
        _write_private(token_file, token["token"])
        token["token"] = None
        where = f"registration token  in {token_file}"
        source = str(token_file)
    lines = [
        where,
        "It works once. Give it to the cluster's agent:",
        "  kubectl create namespace perijove-agent",
        f"  kubectl -n perijove-agent create secret generic perijove-registration --from-file=token={source}",
        f"  helm install perijove-agent {_CHART} --namespace perijove-agent \\",
        f"    --set platform.url={_reachable(session.connection.base_url)} \\",
        "    --set registration.existingSecret.name=perijove-registration",
    ]
    session.show(answer, "\n".join(lines))


def _reachable(base_url: str) -> str:
    """The platform's address for a cluster, which has another loopback than this machine."""
    host = urlsplit(base_url).hostname or ""
    return "https://ADDRESS-OF-THIS-PLATFORM" if host in ("localhost", "127.0.0.1", "::1") else base_url


def _write_private(path: Path, token: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
    except OSError as error:
        raise Failed(
            f"{path} cannot be written: {error.strerror}. The token is lost; `perijove clusters rotate` makes another."
        ) from None


def _lines(found: Json) -> list[str]:
    reason = f" – {found['state_reason']}" if found["state_reason"] else ""
    contact, token, credential = found["last_contact_at"], found["registration_token"], found["credential"]
    rows = [
        ("id", found["id"]),
        ("description", found["description"]),
        ("last contact", age_text(contact) if contact else "never"),
        ("kubernetes", found["kubernetes_version"]),
        ("nodes", _nodes(found)),
        ("cpus", _cpus(found)),
        ("memory", _memory(found)),
        ("accelerators", _accelerators(found)),
        ("agents", found["agents"] and f"{found['agents']} connected"),
        *((name, version or "version unknown") for name, version in sorted(found["component_versions"].items())),
        *(("queue", _queue(queue)) for queue in found["queues"]),
        *(("node", _node(node)) for node in found["node_list"]),
        ("token", token and f"{token['hint']} {token['state']}"),
        ("credential", credential and f"{credential['hint']} {credential['state']}"),
    ]
    return [f"{found['name']}: {found['state']}{reason}", *(f"{name:<13} {value}" for name, value in rows if value)]


def _queue(queue: Json) -> str:
    closed = "" if queue["active"] else f", admits nothing: {queue['reason']}"
    return f"{queue['name']}: {queue['admitted']} admitted, {queue['pending']} waiting{closed}"


def _node(node: Json) -> str:
    return f"{node['name']}: {'ready' if node['ready'] else 'not ready'}{'' if node['schedulable'] else ', cordoned'}"


def _nodes(cluster: Json, *, short: bool = False) -> str:
    nodes = cluster["nodes"]
    if nodes is None:
        return ""
    return f"{nodes['ready']}/{nodes['total']}" if short else f"{nodes['total']}, {nodes['ready']} of them ready"


def _cpus(cluster: Json) -> str:
    return "" if cluster["capacity"] is None else f"{cluster['capacity']['cpus']:g}"


def _memory(cluster: Json) -> str:
    return "" if cluster["capacity"] is None else size_text(cluster["capacity"]["memory_bytes"])


def _accelerators(cluster: Json) -> str:
    return ", ".join(f"{one['free']} of {one['total']} {one['type']} free" for one in cluster["accelerators"])
