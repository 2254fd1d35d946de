"""What a checkout is told of the running cluster."""

import json
import os
import shlex
import shutil
import ssl
from collections.abc import Sequence
from pathlib import Path

from programs import caches, locked

from testbed import dockerfiles, hosted, services
from testbed.layout import ADMIN, RESULT
from testbed.steps import step

ENV = RESULT / "env"
KUBECONFIG = RESULT / "kubeconfig"
SERVICES = RESULT / "services.json"
CERTIFICATES = RESULT / "certificates.pem"
"""What this machine trusts, and what has signed the platform's: for a shell that talks to others, too."""


def write_cluster(**more: str) -> None:
    """Write `env`, `kubeconfig` and `services.json`, readable by their owner alone."""
    RESULT.mkdir(exist_ok=True)
    KUBECONFIG.touch(mode=0o600)
    shutil.copyfile(ADMIN, KUBECONFIG)
    # Not in `env`: a shell with these would point every platform that is started from it at this database.
    SERVICES.touch(mode=0o600)
    SERVICES.write_text(json.dumps(services.address().settings(), indent=2))
    values = {"KUBECONFIG": str(KUBECONFIG), **more}
    ENV.touch(mode=0o600)
    ENV.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()))


def remove() -> None:
    shutil.rmtree(RESULT, ignore_errors=True)


def start_rest(wanted: Sequence[str]) -> None:
    """Platform, images and agent, as far as the checkout has them; the cluster stays up when one of them fails."""
    found = hosted.Hosted(tls=True)
    # By itself: those who share the cluster share no platform.
    with locked(caches() / "platform.lock"):
        with step("platform"):
            found.start_platform()
            write_cluster(**{**found.environment(), "SSL_CERT_FILE": str(_write_certificates(found))})
        dockerfiles.ensure(*wanted)
        if "agent" in wanted:
            with step("agent"):
                found.install_agent()


def _write_certificates(found: hosted.Hosted) -> Path:
    assert found.ca is not None
    known = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    trusted = Path(known).read_text() if known and Path(known) != CERTIFICATES else ""
    CERTIFICATES.write_text(f"{trusted}\n{found.ca.read_text()}")
    return CERTIFICATES
