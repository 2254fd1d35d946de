"""What a checkout is told of the running cluster."""

import json
import shlex
import shutil
from collections.abc import Sequence

from testbed import dockerfiles, hosted, services
from testbed.layout import ADMIN, RESULT
from testbed.steps import step

ENV = RESULT / "env"
KUBECONFIG = RESULT / "kubeconfig"
SERVICES = RESULT / "services.json"


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
    with step("platform"):
        hosted.start_platform()
        write_cluster(PERIJOVE_BASE_URL=hosted.URL, PERIJOVE_API_KEY=hosted.api_key())
    dockerfiles.build_and_import(wanted)
    if hosted.CHART.exists() and "agent" in wanted:
        with step("agent"):
            hosted.install_agent()
