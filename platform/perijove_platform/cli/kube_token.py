"""`perijove kube-token`: kubectl's credential plugin."""

import json
import os
from datetime import UTC, datetime
from urllib.parse import quote

import click

from perijove_platform.cli.failures import Json
from perijove_platform.cli.session import Session, with_session

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
RENEW_SECONDS = 60
"""Before a token ends kubectl asks for the next one."""


@click.command("kube-token")
@click.argument("cluster")
@with_session
def command(session: Session, cluster: str) -> None:
    """Print a short-lived credential for CLUSTER, as kubectl wants it (an ExecCredential).

    kubectl calls this by itself, see `perijove kubeconfig`, and keeps the answer in memory until a minute before its
    end. Nothing is kept on disk.
    """
    if "_" not in cluster:  # a name, which kubectl does not give
        cluster = session.get(f"/v1/clusters/{quote(cluster, safe='')}")["id"]
    session.print_json(_credential(session.call("POST", "/v1/sessions/tokens", json={"cluster": cluster})))


def _credential(token: Json) -> Json:
    renewal = datetime.fromtimestamp(token["expires_at"] - RENEW_SECONDS, UTC)
    return {
        "apiVersion": _asked_version(),
        "kind": "ExecCredential",
        "status": {"token": token["token"], "expirationTimestamp": f"{renewal:%Y-%m-%dT%H:%M:%SZ}"},
    }


def _asked_version() -> str:
    """The version that kubectl speaks, which is told in ``$KUBERNETES_EXEC_INFO``."""
    try:
        asked = json.loads(os.environ["KUBERNETES_EXEC_INFO"])["apiVersion"]
    except (KeyError, ValueError, TypeError):
        return API_VERSIONS[0]
    return asked if asked in API_VERSIONS else API_VERSIONS[0]
