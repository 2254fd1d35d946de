"""A way straight to an API server: from a kubeconfig, or from inside a pod."""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perijove_platform.runtimes.kubernetes.objects import get
from perijove_platform.runtimes.kubernetes.transport import DirectTransport

_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECT_SECONDS = 10.0
_SILENCE_SECONDS = 150.0
"""Longer than the pause between two bookmarks of a watch, which Kubernetes sends every minute."""
_MAX_CONNECTIONS = 1000


class KubeconfigError(ValueError):
    """The kubeconfig cannot be used; the message says why."""


def connect(path: Path, context: str | None = None) -> DirectTransport:
    """Open the way that a kubeconfig describes. Blocking, briefly.

    Client certificates, tokens and token files are understood; plugins (``exec``, ``auth-provider``) are not.

    Args:
        context: instead of the file's current one.

    Raises:
        KubeconfigError: it is not a kubeconfig, or asks for what is not understood.
    """
    import httpx
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"{path} cannot be read: {error}") from error
    wanted = context or get(config, "current-context")
    chosen = _named(config, "contexts", wanted, "context", path)
    cluster = _named(config, "clusters", chosen.get("cluster"), "cluster", path)
    user = _named(config, "users", chosen.get("user"), "user", path)
    if "exec" in user or "auth-provider" in user:
        raise KubeconfigError(f"{path} wants a plugin for the credential. Use a token or a client certificate.")
    server = cluster.get("server")
    if not isinstance(server, str):
        raise KubeconfigError(f"{path} names no server.")
    headers = {"authorization": f"Bearer {user['token']}"} if user.get("token") else {}
    token_file = user.get("tokenFile")
    return DirectTransport(
        httpx.AsyncClient(
            base_url=server,
            verify=_tls(cluster, user, path.parent),
            headers=headers,
            timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            trust_env=False,
        ),
        token_file=None if token_file is None else str(path.parent / token_file),
    )


def connect_in_pod() -> DirectTransport:
    """The way that every pod has, as its service account.

    Raises:
        KubeconfigError: this is no pod.
    """
    import httpx

    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if host is None or not (_IN_POD / "token").exists():
        raise KubeconfigError("This is no pod of a Kubernetes cluster. Name a kubeconfig.")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return DirectTransport(
        httpx.AsyncClient(
            base_url=server,
            verify=ssl.create_default_context(cafile=str(_IN_POD / "ca.crt")),
            timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
            trust_env=False,
        ),
        token_file=str(_IN_POD / "token"),
    )


def _named(config: Any, section: str, name: Any, inner: str, path: Path) -> Mapping[str, Any]:
    for entry in get(config, section, default=()):
        if get(entry, "name") == name and name is not None:
            found = get(entry, inner, default={})
            if isinstance(found, Mapping):
                return found
    raise KubeconfigError(f"{path} has no {inner} '{name}'.")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _material(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=None if authority is None else authority.decode())
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _material(user, "client-certificate", folder), _material(user, "client-key", folder)
    if certificate is not None and key is not None:
        # `load_cert_chain` reads files only.
        with tempfile.TemporaryDirectory() as kept:
            chain = Path(kept, "chain.pem")
            chain.touch(mode=0o600)
            chain.write_bytes(certificate + b"\n" + key)
            context.load_cert_chain(chain)
    return context


def _material(entry: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """A certificate or key, which is in the file or in a file that it names."""
    if (data := entry.get(f"{name}-data")) is not None:
        return base64.b64decode(data)
    if (named := entry.get(name)) is not None:
        return Path(folder, named).read_bytes()
    return None
