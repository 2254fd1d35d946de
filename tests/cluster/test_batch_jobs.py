"""Batch jobs in real pods: files, variables, several runs, failures, time limits, priorities, pause and resume."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from cluster_plugin import Make
from fine_tunes import FINAL, Json, Person, until
from real_cluster import Cluster
from testbed import dockerfiles
from testbed.hosted import Hosted

JOBS = "/v1/batch_jobs"
SMALL = {"cpus": 0.1, "memory_bytes": 32 << 20}
SECRET = "swordfish-of-the-owner"
STARTED = 90.0
"""Longest wait for a small pod, on a machine that does other things, too."""


class BatchJobs:
    """Of one project, in one cluster."""

    def __init__(self, person: Person, cluster: str, image: str) -> None:
        self.person = person
        self._place = {"cluster": cluster, "image": image, "resources": SMALL}

    def create(self, *command: str, **fields: Any) -> str:
        job = self.person.call("POST", JOBS, json={"command": list(command), **self._place, **fields})
        return str(job["id"])

    def shell(self, script: str, **fields: Any) -> str:
        return self.create("sh", "-c", script, **fields)

    def get(self, job_id: str) -> Json:
        return self.person.call("GET", f"{JOBS}/{job_id}")

    def act(self, job_id: str, action: str) -> Json:
        return self.person.call("POST", f"{JOBS}/{job_id}/{action}")

    def log(self, job_id: str) -> str:
        return self.person.text(f"{JOBS}/{job_id}/logs")

    def messages(self, job_id: str) -> list[str]:
        listed = self.person.call("GET", f"{JOBS}/{job_id}/events", params={"limit": 100, "order": "asc"})
        return [event["message"] for event in listed["data"]]

    def reach(self, job_id: str, what: str, condition: Callable[[Json], Any]) -> Json:
        return until(
            f"{job_id} {what}",
            lambda: job if condition(job := self.get(job_id)) else None,
            seconds=STARTED,
            explain=lambda: f"{self.get(job_id)}\n{self.messages(job_id)}\n{self.log(job_id)[-2000:]}",
        )

    def running(self, job_id: str) -> Json:
        return self.reach(job_id, "runs", lambda job: job["state"] == "running")

    def ended(self, job_id: str) -> Json:
        return self.reach(job_id, "ends", lambda job: job["state"] in FINAL)


@pytest.fixture(scope="module")
def hosted(make_hosted: Make) -> Hosted:
    dockerfiles.ensure("trainer")
    return make_hosted("batch", settings={"PERIJOVE_INSTALL_DEFAULT_MODELS": "false"})


@pytest.fixture(scope="module")
def jobs(hosted: Hosted, cluster: Cluster) -> Iterator[BatchJobs]:
    person = Person(hosted.environment())
    yield BatchJobs(person, hosted.cluster, cluster.image)
    person.close()


@pytest.fixture(scope="module")
def created(jobs: BatchJobs) -> dict[str, str]:
    """Jobs that can run at the same time, by what they show."""
    file_id = jobs.person.upload("words.txt", "io europa ganymede\n")
    files = [{"file_id": file_id, "path": "data/words.txt"}]
    variables = {"MOON": SECRET}
    return {
        "file": jobs.shell('cat data/words.txt; echo "$MOON"; ls -A', files=files, environment=variables),
        "runs": jobs.shell('echo "run $JOB_COMPLETION_INDEX"; sleep 2', completions=3, parallelism=2),
        "failing": jobs.shell("echo no such star >&2; exit 3"),
        "some": jobs.shell('[ "$JOB_COMPLETION_INDEX" != 1 ]', completions=2, parallelism=2),
        "endless": jobs.create("sleep", "600", max_run_seconds=3),
        "lost": jobs.create("true", image="perijove.invalid/no-such-image:1"),
        "greedy": jobs.shell("x=$(head -c 100m /dev/zero | tr '\\0' a); echo ${#x}"),
    }


def test_a_file_and_a_variable_that_is_not_in_the_specification(
    jobs: BatchJobs, created: dict[str, str], cluster: Cluster, hosted: Hosted
) -> None:
    job_id = created["file"]
    assert jobs.ended(job_id)["state"] == "succeeded"
    assert jobs.log(job_id) == f"io europa ganymede\n{SECRET}\ndata\n"
    namespace = hosted.project_namespace
    labelled = ("-n", namespace, "-l", f"perijove.dev/job={job_id}")
    shown = cluster.kubectl("get", "jobs,pods,workloads", *labelled, "-o", "json").stdout
    found = json.loads(shown)["items"]
    assert {item["kind"] for item in found} >= {"Job", "Pod"} and SECRET not in shown
    pod = next(item for item in found if item["kind"] == "Pod")
    mounted = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert mounted == ["/work", "/tmp"], "a command of the owner's sees no token of the job"
    assert SECRET not in json.dumps(jobs.get(job_id)) + str(jobs.messages(job_id))


def test_several_runs_two_at_a_time(jobs: BatchJobs, created: dict[str, str]) -> None:
    done = jobs.ended(created["runs"])
    assert (done["state"], done["completed"], done["completions"]) == ("succeeded", 3, 3)
    assert sorted(jobs.log(done["id"]).splitlines()) == [f"[{number}] run {number}" for number in range(3)]


def test_a_command_that_fails_says_how(jobs: BatchJobs, created: dict[str, str]) -> None:
    failed = jobs.ended(created["failing"])
    reason = "the program ended with exit code 3: no such star"
    assert failed["error"] == {"code": "crashed", "message": reason, "param": None}
    assert jobs.messages(failed["id"])[-1] == f"The job failed: {reason}"
    assert jobs.log(failed["id"]) == "no such star\n"


def test_one_run_that_fails_leaves_the_others_alone(jobs: BatchJobs, created: dict[str, str]) -> None:
    failed = jobs.ended(created["some"])
    assert (failed["state"], failed["completed"]) == ("failed", 1)
    assert failed["state_reason"] == "1 of 2 failed; number 1: the program ended with exit code 1"


def test_the_maximum_run_time(jobs: BatchJobs, created: dict[str, str]) -> None:
    failed = jobs.ended(created["endless"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "time_limit")
    assert failed["state_reason"] == "stopped: maximum run time of 3 s"


def test_a_command_that_takes_too_much_memory_is_not_tried_again(jobs: BatchJobs, created: dict[str, str]) -> None:
    failed = jobs.ended(created["greedy"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "out_of_memory"), failed
    assert failed["state_reason"].startswith("out of memory (limit 32 MiB")


def test_an_image_that_there_is_not(jobs: BatchJobs, created: dict[str, str]) -> None:
    waiting = jobs.reach(created["lost"], "waits", lambda job: "image cannot be pulled" in (job["state_reason"] or ""))
    assert waiting["state"] == "admitted"
    assert jobs.act(waiting["id"], "cancel")["state"] == "cancelled"


def test_pause_and_resume(jobs: BatchJobs) -> None:
    job_id = jobs.shell("trap 'exit 143' TERM; echo begin; i=0; while [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done")
    until("it has begun", lambda: "begin" in jobs.log(job_id), seconds=STARTED, explain=lambda: jobs.get(job_id))
    jobs.act(job_id, "pause")
    jobs.reach(job_id, "is paused", lambda job: job["state"] == "paused")
    jobs.act(job_id, "resume")
    until("it begins anew", lambda: jobs.log(job_id).count("begin\n") == 2, seconds=STARTED,
          explain=lambda: (jobs.get(job_id), jobs.messages(job_id), jobs.log(job_id)))  # fmt: skip
    jobs.running(job_id)
    assert jobs.act(job_id, "cancel")["state"] == "cancelled"
    said = jobs.messages(job_id)
    assert said.count("Batch job started") == 1 and said.count("The job is running again") == 1
    assert "The job is resumed; commands that were stopped begin anew" in said
    assert not any("failed" in message or "interrupted" in message for message in said)


def test_a_higher_priority_stops_a_lower_one(jobs: BatchJobs, hosted: Hosted) -> None:
    quota = {"resources": {"cpu": "1", "memory": "1Gi"}, "cohort": None}
    jobs.person.call("PUT", f"/v1/clusters/{hosted.cluster}/quotas/{hosted.project}", json=quota)
    large = {"cpus": 0.6, "memory_bytes": 32 << 20}
    low = jobs.shell("trap 'exit 143' TERM; while true; do sleep 0.1; done", resources=large)
    jobs.running(low)
    # Long enough to be seen.
    high = jobs.create("sleep", "10", resources=large, priority=1)
    why = f"preempted by job {high} of higher priority"
    jobs.reach(low, "is stopped", lambda job: job["state"] == "queued" and why in (job["state_reason"] or ""))
    assert jobs.ended(high)["state"] == "succeeded"
    jobs.running(low)
    jobs.act(low, "cancel")
    interrupted = [message for message in jobs.messages(low) if "interrupted" in message]
    assert len(interrupted) == 1 and f"preempted by job {high}" in interrupted[0], interrupted


def test_an_image_has_to_be_named(jobs: BatchJobs, hosted: Hosted) -> None:
    body = {"command": ["true"], "cluster": hosted.cluster}
    with httpx.Client(base_url=hosted.url) as client:
        key = {"Authorization": f"Bearer {hosted.api_key()}"}
        refused = client.post(JOBS, json=body, headers=key)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "image")
