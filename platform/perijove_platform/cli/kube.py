"""`perijove kubeconfig`."""

import base64
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import click

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.kubeconfig import Unusable, chosen_file, merge_into, merged, text_of
from perijove_platform.cli.session import Session, with_session
from perijove_platform.runtimes.kubernetes.manifests import namespace_name

EXEC_API = "client.authentication.k8s.io/v1"


@click.command("kubeconfig")
@click.argument("cluster")
@click.option("--context", "context_name", help="What to call it; perijove-CLUSTER otherwise.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False),
    help="The file to change, or - to print. Otherwise the one that kubectl uses: $KUBECONFIG or ~/.kube/config.",
)
@click.option(
    "--certificate-authority",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file that the platform's certificate is checked with, when the system does not know it. $SSL_CERT_FILE "
    "otherwise.",
)
@with_session
def command(
    session: Session,
    cluster: str,
    context_name: str | None,
    output: str | None,
    certificate_authority: Path | None,
) -> None:
    """Let kubectl reach CLUSTER through the platform.

    Adds a context to kubectl's configuration, which keeps everything else, and makes it the current one. kubectl asks
    `perijove kube-token` for short-lived credentials; nothing secret is written.
    """
    found = _cluster(session, cluster)
    name = context_name or f"perijove-{found['name']}"
    entries = _entries(session, found, name, _authority(certificate_authority))
    try:
        if output == "-":
            click.echo(text_of(merged({}, entries, current=name)), nl=False)
            return
        path = Path(output) if output else chosen_file(entries)
        merge_into(path, entries, current=name)
    except Unusable as error:
        raise Failed(str(error)) from None
    shown = {"context": name, "cluster": found["id"], "path": str(path)}
    session.show(shown, f"kubectl uses cluster {found['name']} now: context {name} in {path}.")


def _cluster(session: Session, reference: str) -> Json:
    found = session.get(f"/v1/clusters/{quote(reference, safe='')}")
    if found["kind"] != "kubernetes":
        raise Failed(f"'{reference}' is the platform's own machine and no Kubernetes cluster.")
    if not session.connection.base_url.startswith("https://"):
        raise Failed(
            f"The platform answers at {session.connection.base_url}, and kubectl sends credentials over https only. "
            "Use its https address, or start it with PERIJOVE_TLS_CERTIFICATE and PERIJOVE_TLS_KEY."
        )
    return found


def _authority(given: Path | None) -> Path | None:
    return given or (Path(os.environ["SSL_CERT_FILE"]) if os.environ.get("SSL_CERT_FILE") else None)


def _entries(session: Session, cluster: Json, name: str, authority: Path | None) -> dict[str, Json]:
    server: Json = {"server": f"{session.connection.base_url}/v1/sessions/{cluster['id']}"}
    if authority is not None:
        server["certificate-authority-data"] = base64.b64encode(authority.read_bytes()).decode()
    return {
        "clusters": {"name": name, "cluster": server},
        "users": {"name": name, "user": {"exec": _plugin(session, cluster["id"], authority)}},
        "contexts": {"name": name, "context": {"cluster": name, "user": name, "namespace": _namespace(session)}},
    }


def _namespace(session: Session) -> str:
    return namespace_name(session.get("/v1/me")["project_id"])


def _plugin(session: Session, cluster_id: str, authority: Path | None) -> Json:
    """How kubectl gets a credential: with the key that the shell or the data directory has then.

    Args:
        authority: what the plugin checks the platform's certificate with, as kubectl does.
    """
    program = shutil.which("perijove")
    command = [program] if program else [sys.executable, "-m", "perijove_platform"]
    arguments = ["kube-token", cluster_id]
    environment = []
    if session.data_dir is not None:
        arguments += ["--data-dir", str(session.data_dir.absolute())]
    elif os.environ.get("PERIJOVE_BASE_URL"):
        environment.append({"name": "PERIJOVE_BASE_URL", "value": session.connection.base_url})
    if authority is not None:
        environment.append({"name": "SSL_CERT_FILE", "value": str(authority.absolute())})
    return {
        "apiVersion": EXEC_API,
        "command": command[0],
        "args": [*command[1:], *arguments],
        "env": environment or None,
        "interactiveMode": "Never",
        "provideClusterInfo": False,
        "installHint": "Install perijove: pip install perijove",
    }
