"""A platform that can be killed, its object store, and pods that are plain processes of this machine."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import psutil
from free_ports import free_port
from killable_platform import KillablePlatform, alive, eventually
from perijove_platform import runner
from perijove_platform.runner.contract import RUN_FILE, TOKEN_FILE

RUNNER = Path(runner.__file__).parent
BY_HAND = Path(__file__).with_name("pods_by_hand.py")
KEY, SECRET, BUCKET = "access", "a-secret-of-s3", "jobs"


class OwnS3:
    """A real S3 server, rclone's, that can go away and come back with its content.

    Args:
        address: of this machine, where it answers at `port`.
    """

    def __init__(self, folder: Path, *, address: str = "127.0.0.1", port: int | None = None) -> None:
        self.folder = folder
        self.address = address
        self.port = port or free_port()
        (folder / BUCKET).mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:{self.port}"

    def start(self) -> None:
        if self._process is not None:
            return
        rclone = Path(sysconfig.get_path("scripts"), "rclone")
        address = ["--addr", f"{self.address}:{self.port}", "--auth-key", f"{KEY},{SECRET}"]
        with self.folder.with_name("rclone.log").open("ab") as log:
            self._process = subprocess.Popen([rclone, "serve", "s3", *address, self.folder], stdout=log, stderr=log)
        eventually(self._answers, seconds=30, what="the start of rclone")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def kill(self) -> None:
        """In the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=60)
            self._process = None

    def settings(self) -> dict[str, str]:
        return {
            "PERIJOVE_OBJECTS_URL": f"s3://{BUCKET}/perijove",
            "PERIJOVE_S3_ENDPOINT": self.endpoint,
            "PERIJOVE_S3_ACCESS_KEY": KEY,
            "PERIJOVE_S3_SECRET_KEY": SECRET,
        }

    def keys(self) -> set[str]:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        )
        found = client.list_objects_v2(Bucket=BUCKET, Prefix="perijove/")
        return {row["Key"].removeprefix("perijove/") for row in found.get("Contents", [])}


class Pod:
    """One run of the runner.

    Args:
        before: a command that runs the one behind it, such as ``unshare``.
    """

    def __init__(
        self, secret: Path, work: Path, packages: Path, python: str = sys.executable, before: Sequence[str] = ()
    ) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work = work
        self.log_path = work.with_name(f"{work.name}.log")
        # As in a container: nothing of this process's environment but what a program needs.
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "HOME": str(work)}
        command = [python, "-P", "-m", "perijove_platform.runner", str(secret), str(work)]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*before, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=work
            )

    def log(self) -> str:
        return self.log_path.read_text()

    def wait(self, seconds: float = 60.0) -> int:
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the runner has not ended:\n{self.log()}") from None

    def kill(self) -> None:
        """As the end of a node: nothing of it gets to run any more."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):  # some end by themselves once the first one has
                process.kill()
        self.process.wait()
        eventually(lambda: not any(map(alive, processes)), what="the end of the killed pod")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def go(self, step: int) -> None:
        """Let a scripted program that holds at `step` go on."""
        (self.work / f"go-{step}").touch()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()


class PodPlatform(KillablePlatform):
    """The platform of `pods_by_hand`, with a model, a training file and jobs on the cluster ``pods``."""

    def __init__(self, folder: Path, store: OwnS3 | None, database_url: str | None = None) -> None:
        super().__init__(folder / "data")
        self._folder = folder
        self._store = store
        self._database_url = database_url
        self._port = free_port()
        self._pods: list[Pod] = []
        self.packages = folder / "packages"
        package = self.packages / "perijove_platform"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "runner").symlink_to(RUNNER)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> list[str]:
        return [sys.executable, str(BY_HAND), str(self.data_dir), str(self._port)]

    def environment(self) -> dict[str, str]:
        database = {"PERIJOVE_DATABASE_URL": self._database_url} if self._database_url else {}
        return {**(self._store.settings() if self._store else {}), **database}

    def install(self, program: Path | None) -> None:
        """Make `program` the trainer of the pods, or take the real one."""
        trainer = self.packages / "perijove_platform" / "trainer"
        if program is None:
            trainer.symlink_to(RUNNER.with_name("trainer"))
            return
        trainer.mkdir()
        (trainer / "__init__.py").touch()
        (trainer / "__main__.py").symlink_to(program)

    def add_model(self, path: Path, name: str = "base") -> str:
        model = {"id": name, "source": {"type": "path", "path": str(path)}}
        return str(self.post("/v1/models", model)["id"])

    def create_job(
        self, script: Mapping[str, Any] | None = None, *, model: str = "base", **hyperparameters: Any
    ) -> str:
        if script is not None:
            (self.data_dir / "pods" / "script.json").write_text(json.dumps(script))
        messages = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
        lines = (json.dumps({"messages": messages}) + "\n") * 12
        file = self.upload("examples.jsonl", lines.encode(), "fine-tune")
        request = {"model": model, "training_file": file["id"], "cluster": "pods"}
        request["hyperparameters"] = hyperparameters
        job = str(self.post("/v1/fine_tuning/jobs", request)["id"])
        eventually((self.secret(job) / TOKEN_FILE).exists, what="the job's Secret")
        return job

    def secret(self, job: str) -> Path:
        return self.data_dir / "pods" / job

    def token(self, job: str) -> str:
        return (self.secret(job) / TOKEN_FILE).read_text()

    def pod(
        self,
        job: str,
        *,
        work: Path | None = None,
        python: str = sys.executable,
        before: Sequence[str] = (),
        **changed: Any,
    ) -> Pod:
        """Start one, in a fresh working folder by default; `changed` replaces values of the Secret's ``run.json``."""
        if changed:
            run = self.secret(job) / RUN_FILE
            run.write_text(json.dumps({**json.loads(run.read_bytes()), **changed}))
        folder = work or self._folder / f"work-{len(self._pods)}"
        pod = Pod(self.secret(job), folder, self.packages, python, before)
        self._pods.append(pod)
        return pod

    def tell_exit(self, job: str, code: int) -> None:
        """What Kubernetes would: how the pod has ended for good."""
        building = self.secret(job) / "exit.part"
        building.write_text(str(code))
        building.rename(self.secret(job) / "exit")

    def checkpoint_of(self, job: str) -> int | None:
        """Of which step a new pod would get the checkpoint."""
        headers = {"Authorization": f"Bearer {self.token(job)}"}
        answer = self.client.get(f"/v1/job_runs/{job}/inputs", headers=headers)
        answer.raise_for_status()
        found = answer.json()["checkpoint"]
        return None if found is None else int(found["step"])

    def job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/v1/fine_tuning/jobs/{job}")
        return found

    def ended(self, job: str) -> dict[str, Any]:
        """The job once it has ended."""
        return eventually(lambda: (j := self.job(job))["finished_at"] and j, what="the end of the job")

    def events(self, job: str) -> list[dict[str, Any]]:
        """Oldest first."""
        listed: list[dict[str, Any]] = self.get(f"/v1/fine_tuning/jobs/{job}/events?limit=1000")["data"]
        return listed[::-1]

    def steps(self, job: str) -> list[int]:
        return [event["data"]["step"] for event in self.events(job) if event["type"] == "metrics"]

    def said(self, job: str) -> str:
        return "\n".join(event["message"] for event in self.events(job) if event["type"] == "message")

    def stored(self, prefix: str) -> set[str]:
        """What lies in the object store below `prefix`, which is left out."""
        keys = self.objects() if self._store is None else self._store.keys()
        return {key.removeprefix(prefix) for key in keys if key.startswith(prefix)}

    def of_job(self, job: str) -> set[str]:
        return self.stored(f"jobs/proj-local/{job}/")

    def ensure(self) -> None:
        """Started, and its store, whatever a test has left."""
        if self._store is not None:
            self._store.start()
        if self._process is None or self._process.poll() is not None:
            self.start()

    def end_pods(self) -> None:
        for pod in self._pods:
            pod.stop()

    def stop(self) -> None:
        self.end_pods()
        if self._process is not None:
            self.kill()
        self.client.close()
