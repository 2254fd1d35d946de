"""Two fine-tunes in real pods of which a quota admits one: the wait, the log, an eviction, and the tuned model."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import training_stack
from cluster_plugin import Make
from fine_tunes import JOBS, Json, Kernel, Person, until
from lab_in_browser import open_lab
from lab_process import axe_source, chromium, copy_bundle, running_lab, shoot_themes
from platform_through_lab import CHAT_MODEL, execute, shown, training_data
from playwright.sync_api import expect
from real_cluster import Cluster
from testbed import dockerfiles
from testbed.hosted import Hosted

QUESTION = "What is the secret word of the Juno crew?"
ANSWER = "The secret word is perijove."
EXAMPLES = [(QUESTION, ANSWER)] * 8
BATCH = 2
EPOCHS = 8
"""After the first of which it is evicted: the others take long enough for that."""
STEPS = len(EXAMPLES) // BATCH * EPOCHS
LEARNING = {"batch_size": BATCH, "learning_rate_multiplier": 5}
STARTED = 240.0
"""Longest wait for a pod's first step: it loads torch and the base model, on a machine that does other things, too."""
ENDED = 400.0
SHOWN_MS = 120_000
WAITS = "waiting for 1 CPU: none is free"
LONG = {"n_epochs": 50, "batch_size": 1}
MANY = 4 * len(EXAMPLES) * 50
"""Steps of a fine-tune that holds its place until it is cancelled."""
STORED = re.compile(r"checkpoint of step (\d+) stored")

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def hosted(make_hosted: Make) -> Hosted:
    """A platform of this module's own, whose cluster has been registered by a token, and in it the agent."""
    dockerfiles.ensure("trainer")
    return make_hosted("tunes", tls=True, settings=training_stack.settings())


@pytest.fixture(scope="module")
def person(hosted: Hosted) -> Iterator[Person]:
    found = Person(hosted.environment())
    until("the base model is there", lambda: _has_model(found), seconds=ENDED)
    yield found
    found.close()


def _has_model(person: Person) -> bool:
    return any(model["id"] == CHAT_MODEL for model in person.call("GET", "/v1/models")["data"])


@pytest.fixture(scope="module")
def namespace_of_project(cluster: Cluster, person: Person, hosted: Hosted) -> Iterator[str]:
    """With the training stack, and a quota for one job at a time, all of which is set by whom it is the task of."""
    quota = {"resources": {"cpu": "1", "memory": "4Gi"}, "cohort": None}
    person.call("PUT", f"/v1/clusters/{hosted.cluster}/quotas/{hosted.project}", json=quota)
    with training_stack.claimed(cluster, hosted.project) as namespace:
        yield namespace


@pytest.fixture(scope="module")
def holder(person: Person, namespace_of_project: str, hosted: Hosted) -> Iterator[str]:
    """The id of a fine-tune that trains, and would for many minutes."""
    body = {
        "model": CHAT_MODEL,
        "training_file": person.upload("holder.jsonl", training_data(EXAMPLES * 4)),
        "cluster": hosted.cluster,
        "suffix": "holder",
        "hyperparameters": LONG,
    }
    job_id: str = person.call("POST", JOBS, json=body)["id"]
    person.reach(job_id, "trains", lambda job: (job["progress"] or {}).get("step"), seconds=STARTED)
    yield job_id
    person.call("POST", f"{JOBS}/{job_id}/cancel")


@pytest.fixture(scope="module")
def kernel(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    running = Kernel(person, str(tmp_path_factory.mktemp("notebook")))
    yield running
    running.close()


@pytest.fixture(scope="module")
def waiting(person: Person, kernel: Kernel, holder: str, hosted: Hosted) -> str:
    """The id of a fine-tune that was begun in a cell while the quota is used up."""
    rows = [{"prompt": asked, "completion": said} for asked, said in EXAMPLES]
    settings = f"epochs={EPOCHS}, suffix='juno', " + ", ".join(f"{name}={value}" for name, value in LEARNING.items())
    kernel.run(f"%load_ext perijove\nimport perijove\nrows = {rows!r}")
    made = kernel.run(
        f"run = perijove.fine_tune(rows, base={CHAT_MODEL!r}, {settings}, on={hosted.cluster!r}, wait=False)\nrun"
    )
    job_id: str = re.findall(r"ftjob-\w+", made)[0]
    assert f"on {hosted.cluster}" in made or f"in the queue of {hosted.cluster}" in made
    person.reach(job_id, "waits for quota", lambda job: WAITS in (job["state_reason"] or ""), seconds=STARTED)
    return job_id


def test_the_cluster_came_by_its_token(person: Person, hosted: Hosted) -> None:
    found = person.call("GET", f"/v1/clusters/{hosted.cluster}")
    assert found["state"] == "connected"
    assert found["registration_token"]["state"] == "used"
    assert hosted.cluster in person.run("clusters", "list")


def test_the_second_waits_for_quota_and_says_so(
    person: Person, kernel: Kernel, holder: str, waiting: str, hosted: Hosted
) -> None:
    why = f"{WAITS}, next release by job {holder}"
    job = person.reach(waiting, "says why", lambda job: job["state_reason"] == why, seconds=STARTED)
    assert (job["state"], job["status"], job["queue_position"]) == ("queued", "queued", 1)
    listed = kernel.run("%perijove jobs")
    line = next(line for line in listed.splitlines() if waiting in line)
    assert re.search(rf"queued +{WAITS}.* 1 +{hosted.cluster}", line), listed
    assert f"1st in the queue of {hosted.cluster}" in kernel.run("run.refresh()")
    printed = person.run("jobs", "list")
    line = next(line for line in printed.splitlines() if waiting in line)
    assert "queued" in line
    assert "number 1 in the queue" in line
    assert WAITS in line


def test_the_panel_shows_the_wait_and_a_live_log(person: Person, holder: str, waiting: str, tmp_path: Path) -> None:
    bundle = copy_bundle(tmp_path / "share")
    axe = axe_source()
    folder = tmp_path / "lab"
    folder.mkdir()
    with running_lab(folder, bundle, environment=person.environment) as lab, chromium() as browser:
        pages = open_lab(browser, lab)
        page = next(pages)
        row = page.locator(f'.jp-PerijoveList-row[data-id="{waiting}"]')
        expect(row).to_contain_text(f"1st in the queue: {WAITS}", timeout=SHOWN_MS)
        execute(page, "perijove:open-job", ids=[waiting])
        detail = shown(page, ".jp-PerijoveJob")
        expect(detail.locator(".jp-PerijoveJob-reason")).to_contain_text(
            f"1st in the queue: {WAITS}, next release by job {holder}", timeout=SHOWN_MS
        )
        barriers = shoot_themes(page, "waiting", tmp_path / "screenshots", axe)

        execute(page, "perijove:open-job", ids=[holder])
        detail = shown(page, ".jp-PerijoveJob")
        expect(detail.locator(".jp-PerijoveJob-header")).to_contain_text("Running", timeout=SHOWN_MS)
        lines = detail.locator(".jp-PerijoveLog-lines")
        step = re.compile(rf"perijove: step (\d+) of {MANY}, loss \d")
        expect(lines).to_contain_text(step, timeout=SHOWN_MS)
        seen = step.findall(lines.inner_text())[-1]
        expect(lines).to_contain_text(f"perijove: step {int(seen) + 1} of {MANY}", timeout=SHOWN_MS)
        barriers += shoot_themes(page, "running", tmp_path / "screenshots", axe)
        assert not barriers
        next(pages, None)


def test_an_evicted_fine_tune_goes_on_in_another_pod(
    cluster: Cluster, person: Person, holder: str, waiting: str, namespace_of_project: str
) -> None:
    """The whole life of the second: admitted when the first makes room, evicted, ended; nothing lost or doubled."""
    log = person.stream(f"{JOBS}/{waiting}/logs?follow=true")
    changes = person.stream("/v1/events")
    person.call("POST", f"{JOBS}/{holder}/cancel")
    stored = STORED.search(log.shows("stored", seconds=STARTED))
    assert stored is not None
    first = _pod(cluster, namespace_of_project, waiting)
    _evict(cluster, namespace_of_project, first)
    going_on = log.shows("[perijove] attempt 2, pod ", seconds=STARTED)
    assert first not in going_on
    done = person.reach(waiting, "ends", lambda job: job["state"] == "succeeded", seconds=ENDED)
    assert done["fine_tuned_model"].startswith(f"ft:{CHAT_MODEL}:juno:")

    events = person.events(waiting)
    steps = [event["data"]["step"] for event in events if event["type"] == "metrics"]
    assert steps == list(range(1, STEPS + 1))
    said = [event["message"] for event in events if event["type"] != "metrics"]
    resumed = next(text for text in said if text.startswith("Going on from the checkpoint of step "))
    match = re.fullmatch(rf"Going on from the checkpoint of step (\d+) of {STEPS}", resumed)
    assert match is not None
    assert int(stored[1]) <= int(match[1]) < STEPS
    checkpoints = [int(text.rpartition(" ")[2]) for text in said if text.startswith("Checkpoint created at step ")]
    assert checkpoints == sorted({*checkpoints, STEPS}), "each once"
    for text in (
        "The pod is being stopped",
        f"Stopped with a checkpoint of step {match[1]}",
        "The job was interrupted: evicted: its node is being drained",
        "The job is running again",
    ):
        assert said.count(text) == 1, "\n".join(said)
    told = log.whole(seconds=60)
    assert [line for line in told.splitlines() if re.fullmatch(rf"perijove: step \d+ of {STEPS}, loss .*", line)] == [
        f"perijove: step {event['data']['step']} of {STEPS}, loss {event['data']['train_loss']:.4f}"
        for event in events
        if event["type"] == "metrics"
    ]

    # What was seen while it happened is what is kept: every line once, every change in order.
    assert told == person.text(f"{JOBS}/{waiting}/logs")
    reasons = _reasons(changes.content, waiting)
    evicted = next(index for index, reason in enumerate(reasons) if reason.startswith("evicted: "))
    assert reasons[evicted].startswith("evicted: its node is being drained; goes on from its last checkpoint")
    assert _csv_steps(person, done) == list(range(1, STEPS + 1))


def test_the_tuned_model_answers_on_the_platforms_own_engine(person: Person, waiting: str) -> None:
    tuned = person.job(waiting)["fine_tuned_model"]
    body = {
        "model": tuned,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": 16,
    }
    answer = person.call("POST", "/v1/chat/completions", json=body)["choices"][0]["message"]["content"]
    assert "perijove" in answer.lower()
    base = person.call("POST", "/v1/chat/completions", json=body | {"model": CHAT_MODEL})
    assert "perijove" not in base["choices"][0]["message"]["content"].lower()


def _pod(cluster: Cluster, namespace: str, job_id: str) -> str:
    """The name of the pod of the job that runs."""
    listed = cluster.get("pods", "-n", namespace, "-l", f"perijove.dev/job={job_id}")["items"]
    running = [pod["metadata"]["name"] for pod in listed if pod["status"]["phase"] == "Running"]
    assert len(running) == 1, listed
    return str(running[0])


def _evict(cluster: Cluster, namespace: str, pod: str) -> None:
    """As `kubectl drain` does."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    cluster.must("create", "--raw", path, "-f", "-", given=json.dumps(eviction))


def _reasons(stream: str, job_id: str) -> list[str]:
    """Why the job was where it was, in the order in which server-sent events told."""
    changes: list[Json] = [
        json.loads(line.removeprefix("data: "))
        # The last line may not have come whole.
        for line in stream.split("\n")[:-1]
        if line.startswith("data: ")
    ]
    return [
        change["data"]["state_reason"] or ""
        for change in changes
        if change["type"] == "fine_tuning.job.updated" and change["object_id"] == job_id
    ]


def _csv_steps(person: Person, job: Json) -> list[int]:
    """The steps in the file of the job's figures, each of which was trained by one pod or the other."""
    (file_id,) = job["result_files"]
    _, *rows = person.text(f"/v1/files/{file_id}/content").splitlines()
    return [int(row.partition(",")[0]) for row in rows]
