"""``python -m testbed up | down | status``: see docs/developers/testbed.md."""

import argparse
import sys
import time

from testbed import cluster, dockerfiles, named, results
from testbed.layout import NAMED
from testbed.steps import Failed, say, step

# The platform's is large, and the platform runs on the machine.
BY_DEFAULT = ("agent", "trainer")


def main() -> None:
    parser = argparse.ArgumentParser(prog="testbed", description="A one-node Kubernetes on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it, or what of it is missing")
    up.add_argument("--cluster-only", action="store_true", help="without images, platform and agent")
    given = ",".join(name for name in dockerfiles.names() if name in BY_DEFAULT)
    up.add_argument("--images", default=given, help=f"of {', '.join(dockerfiles.names())}; by default %(default)s")
    commands.add_parser("down", help="end it and leave the machine as it was")
    commands.add_parser("status", help="say whether it is up; status 1 when it is not")
    asked = parser.parse_args()
    if NAMED:
        sys.exit(f"testbed: this is about the test bed of this machine: unset {named.KUBECONFIG}")
    try:
        if asked.command == "status":
            state = "up" if cluster.is_up() else "down"
            print(state)
            sys.exit(0 if state == "up" else 1)
        if asked.command == "up":
            _up(None if asked.cluster_only else asked.images)
        else:
            with cluster.alone(), step("down"):
                cluster.down()
                results.remove()
    except Failed as error:
        sys.exit(f"testbed: {error}")
    except KeyboardInterrupt:
        sys.exit("testbed: interrupted")


def _up(images: str | None) -> None:
    began = time.monotonic()
    wanted = [name for name in (images or "").split(",") if name]
    unknown = set(wanted) - set(dockerfiles.names())
    if unknown:
        raise Failed(f"There is no Dockerfile of {', '.join(sorted(unknown))} in {dockerfiles.FOLDER}.")
    with cluster.used(passing=False) as use:
        if not use.started:
            say("the cluster is up already")
        results.write_cluster()
        if images is not None:
            results.start_rest(wanted)
    say(f"up in {time.monotonic() - began:.0f} s; for your shell: set -a; . {results.ENV}; set +a")


if __name__ == "__main__":
    main()
