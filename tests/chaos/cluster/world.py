"""A platform of the tests' own with its agent in the cluster, and jobs that cost next to nothing."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import training_stack
from fine_tunes import FINAL, JOBS, until
from killable_platform import EventLog
from perijove_platform import runner
from perijove_platform.runner.contract import WORK_FOLDER
from pod_platform import OwnS3
from programs import caches
from random_model import write_random_model
from real_cluster import Cluster
from testbed import kubectl
from testbed.hosted import Hosted
from testbed.layout import ADDRESS
from testbed.ports import free_port
from truth import Place, Truth

HERE = Path(__file__).parent
PROGRAM = HERE.parents[1] / "platform" / "runner" / "scripted_program.py"
CPUS = "0.1"
MEMORY_BYTES = 256 << 20
STARTED = 120.0
"""Longest wait for a pod to be made, to be started and to fetch its inputs, on a machine that does other things."""
Json = dict[str, Any]


class World:
    """What a test of faults disturbs.

    Attributes:
        truth: both sides compared.
        events: everything that the event stream of the project told.
        s3: the platform's own object store.
        client: the API with the key of the project.
    """

    def __init__(self, hosted: Hosted, cluster: Cluster, s3: OwnS3) -> None:
        self.hosted = hosted
        self.cluster = cluster
        self.s3 = s3
        headers = {"Authorization": f"Bearer {hosted.api_key()}"}
        self.client = httpx.Client(base_url=hosted.url, headers=headers, timeout=60)
        self.cluster_id = hosted.cluster_id()
        place = Place(
            hosted.platform.database_url.replace("+asyncpg", ""),
            hosted.project,
            f"org-{hosted.name}",
            self.cluster_id,
            hosted.namespace,
        )
        self.truth = Truth(place)
        self.namespace = place.namespace
        self.call("POST", "/v1/models", {"id": "base", "source": {"type": "path", "path": str(self._model())}})
        self.events = EventLog(self)

    def _model(self) -> Path:
        return write_random_model(self.hosted.platform.folder / "base.gguf")

    def call(self, method: str, path: str, body: Any = None) -> Json:
        answer = self.client.request(method, path, json=body)
        told = f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.is_success, told + (self._platform_log() if answer.is_server_error else "")
        found: Json = answer.json()
        return found

    # Jobs.

    def create(self, **script: Any) -> str:
        """A fine-tune whose trainer follows the script of `stand_in_trainer`; returns its id."""
        answer = {"role": "assistant", "content": json.dumps({"steps": 3, **script})}
        example = json.dumps({"messages": [{"role": "user", "content": "What?"}, answer]}).encode()
        form = {"purpose": (None, "fine-tune"), "file": ("script.jsonl", (example + b"\n") * 12)}
        uploaded = self.client.post("/v1/files", files=form).raise_for_status().json()
        body = {"model": "base", "training_file": uploaded["id"], "cluster": self.hosted.cluster}
        return str(self.call("POST", JOBS, body)["id"])

    def job(self, job_id: str) -> Json:
        return self.call("GET", f"{JOBS}/{job_id}")

    def reach(self, job_id: str, state: str, *, seconds: float = STARTED) -> Json:
        """The job once it is in that state; fails when it ends in another."""

        def look() -> Json | None:
            job = self.job(job_id)
            assert job["state"] == state or job["state"] not in FINAL, self.explain(job_id)
            return job if job["state"] == state else None

        return until(f"{job_id} is {state}", look, seconds=seconds, explain=lambda: self.explain(job_id))

    def reach_step(self, job_id: str, step: int, *, seconds: float = STARTED) -> None:
        """Wait until the platform has recorded that the job has taken this step."""
        until(
            f"{job_id} has taken step {step}",
            lambda: ((self.job(job_id)["progress"] or {}).get("step") or 0) >= step,
            seconds=seconds,
            explain=lambda: self.explain(job_id),
        )

    def explain(self, job_id: str) -> str:
        log = self.client.get(f"{JOBS}/{job_id}/logs", params={"tail_bytes": 3000}).text
        return f"{json.dumps(self.job(job_id), indent=1)}\n{log}\n{self._platform_log()}"

    def _platform_log(self) -> str:
        return self.hosted.platform.log().read_text(errors="replace")[-2000:]

    def said(self, job_id: str) -> list[str]:
        """The messages among the job's events, oldest first."""
        listed = self.call("GET", f"{JOBS}/{job_id}/events?limit=1000")["data"][::-1]
        return [event["message"] for event in listed if event["type"] == "message"]

    def log(self, job_id: str) -> str:
        return self.client.get(f"{JOBS}/{job_id}/logs").raise_for_status().text

    def cancel_all(self) -> None:
        for job in self.call("GET", f"{JOBS}?limit=100")["data"]:
            if job["state"] not in FINAL:
                answer = self.client.post(f"{JOBS}/{job['id']}/cancel")
                ended = answer.status_code == 400 and self.job(job["id"])["state"] in FINAL
                assert answer.is_success or ended, answer.text

    # Their pods.

    def pods(self, job_id: str) -> list[Json]:
        found: list[Json] = kubectl.get("pods", "-n", self.namespace, "-l", f"perijove.dev/job={job_id}")["items"]
        return sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def pod(self, job_id: str) -> str:
        """The name of the job's running pod."""

        def running() -> str | None:
            return next((_name(pod) for pod in self.pods(job_id) if pod["status"]["phase"] == "Running"), None)

        return until(f"{job_id} has a pod that runs", running, seconds=STARTED)

    def go(self, job_id: str, step: int) -> None:
        """Let the trainer that holds at `step` go on."""
        kubectl.kubectl("exec", "-n", self.namespace, self.pod(job_id), "--", "touch", f"{WORK_FOLDER}/go-{step}")

    def go_later(self, job_id: str, step: int, seconds: float) -> None:
        """The same, in the pod's own time, when nobody can reach it any more."""
        script = f"(sleep {seconds}; touch {WORK_FOLDER}/go-{step}) >/dev/null 2>&1 &"
        kubectl.kubectl("exec", "-n", self.namespace, self.pod(job_id), "--", "sh", "-c", script)

    def evict(self, pod: str) -> None:
        """As draining a node does."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.namespace}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        kubectl.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(body))

    def set_quota(self, jobs: int | None) -> None:
        """How many of these jobs may run at the same time; ``None`` for as many as fit."""
        path = f"/v1/clusters/{self.hosted.cluster}/quotas/{self.hosted.project}"
        if jobs is None:
            self.client.delete(path).raise_for_status()
            return
        amount = {"cpu": f"{jobs * 100}m", "memory": str(jobs * MEMORY_BYTES)}
        self.call("PUT", path, {"resources": amount, "cohort": None})

    # The platform.

    def kill_platform(self) -> None:
        self.hosted.kill_platform()

    def start_platform(self) -> None:
        self.hosted.start_platform()
        self.events.resume()


def _name(item: Json) -> str:
    return str(item["metadata"]["name"])


def pods_packages(folder: Path) -> Path:
    """The folder that pods find their programs in: the real runner, and the stand-in for the trainer."""
    package = folder / "perijove_platform"
    (package / "trainer").mkdir(parents=True)
    for init in (package, package / "trainer"):
        (init / "__init__.py").touch()
    shutil.copytree(Path(runner.__file__).parent, package / "runner", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "stand_in_trainer.py", package / "trainer" / "__main__.py")
    shutil.copy(PROGRAM, package / "trainer" / PROGRAM.name)
    return folder


@contextmanager
def made(cluster: Cluster, folder: Path) -> Iterator[World]:
    """A world; nothing of it is left in the end.

    Args:
        folder: for the content of its object store.
    """
    s3 = OwnS3(folder / "s3", address=ADDRESS, port=free_port())
    settings = {
        **s3.settings(),
        "PERIJOVE_INSTALL_DEFAULT_MODELS": "false",
        "PERIJOVE_TRAINER_CPUS": CPUS,
        "PERIJOVE_TRAINER_MEMORY_BYTES": str(MEMORY_BYTES),
        "PERIJOVE_TRAINER_VOLUMES": json.dumps({training_stack.CLAIM: training_stack.PLACE}),
        "PERIJOVE_TRAINER_ENVIRONMENT": json.dumps({"PYTHONPATH": training_stack.PLACE}),
    }
    s3.start()
    try:
        with (
            Hosted.started("faults", images=["trainer"], s3=False, settings=settings) as hosted,
            # Where the training stack lies, too: a node that has this folder of the machine has both.
            TemporaryDirectory(dir=caches(), prefix="packages-") as made_here,
        ):
            packages = pods_packages(Path(made_here, "packages"))
            with training_stack.claimed(cluster, hosted.project, packages):
                world = World(hosted, cluster, s3)
                yield world
                world.client.close()
    finally:
        s3.kill()
