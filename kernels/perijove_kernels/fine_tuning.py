"""Fine-tuning from a DataFrame, with live progress in the cell."""

import time
from collections.abc import Mapping
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from IPython.display import display
from openai.types.fine_tuning import FineTuningJob
from openai.types.fine_tuning.job_create_params import Method

from perijove_kernels.connection import default_model, shared_client
from perijove_kernels.files import upload
from perijove_kernels.job_places import FINAL, check_place, place_of
from perijove_kernels.loss_plot import loss_svg
from perijove_kernels.platform_events import follow
from perijove_kernels.session import remember

MAX_EVENTS = 10_000
REDRAW_SECONDS = 0.2


class FineTuneFailed(RuntimeError):
    """The job ended without a model; the message says why."""


class FineTune:
    """A fine-tuning job: shows itself with progress and loss curve.

    Attributes:
        job: the job as last heard of.
        losses: (step, training loss) so far.
    """

    def __init__(self, job: FineTuningJob) -> None:
        self.job = job
        self.losses: list[tuple[int, float]] = []
        self._message = ""

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def state(self) -> str:
        """``queued``, ``admitted``, ``running``, ``paused``, ``succeeded``, ``failed`` or ``cancelled``."""
        state: str = (self.job.model_extra or {}).get("state") or self.job.status
        return state

    @property
    def model(self) -> str:
        """The name of the tuned model.

        Raises:
            FineTuneFailed: there is none, or not yet.
        """
        if self.job.fine_tuned_model is None:
            raise FineTuneFailed(f"Job {self.id} is {self.state} and has no model. {self._reason()}")
        return self.job.fine_tuned_model

    def refresh(self) -> "FineTune":
        """Ask for the job as it stands, with the losses so far."""
        jobs = shared_client().fine_tuning.jobs
        self.job = jobs.retrieve(self.id)
        events = list(islice(jobs.list_events(self.id, limit=100), MAX_EVENTS))
        self.losses = []
        for event in reversed(events):
            self._take_event(event.type, event.data if isinstance(event.data, Mapping) else {}, event.message)
        return self

    def wait(self, *, show: bool = True) -> "FineTune":
        """Wait for the end, with a display that stays up to date. Interrupting the cell leaves the job running.

        Raises:
            FineTuneFailed: the job failed or was cancelled.
        """
        handle = display(self, display_id=True) if show else None
        drawn = time.monotonic()
        try:
            with follow() as events:
                self.refresh()
                while self.job.status not in FINAL:
                    standing = self._standing()
                    changed = self._take(next(events))
                    # Steps come fast, and the next one brings another chance; why a job waits may stand for hours.
                    due = time.monotonic() - drawn >= REDRAW_SECONDS or self._standing() != standing
                    if handle is not None and changed and due:
                        handle.update(self)
                        drawn = time.monotonic()
        except KeyboardInterrupt:
            self._message = "No longer watched, still running: .wait() watches again, .cancel() stops it."
            if handle is not None:
                handle.update(self)
            return self
        if self.job.fine_tuned_model is not None:
            remember("model", self.job.fine_tuned_model, self.job.fine_tuned_model)
        if handle is not None:
            handle.update(self)
        if self.job.status != "succeeded":
            raise FineTuneFailed(f"Job {self.id} {self.job.status}. {self._reason()}")
        return self

    def cancel(self) -> "FineTune":
        """Stop the job."""
        self.job = shared_client().fine_tuning.jobs.cancel(self.id)
        return self

    def _take(self, event: Mapping[str, Any]) -> bool:
        """Take over what an event of the platform says; whether it was about this job."""
        if event["type"] == "reset":
            self.refresh()
            return True
        data = event.get("data") or {}
        if event["type"] == "fine_tuning.job.event" and data.get("job_id", event["object_id"]) == self.id:
            self._take_event(data.get("type", ""), data.get("data") or {}, data.get("message", ""))
            return True
        if event["type"].startswith("fine_tuning.job.") and event["object_id"] == self.id:
            self.job = FineTuningJob.model_validate(data)
            return True
        return False

    def _take_event(self, kind: str | None, data: Mapping[str, Any], message: str) -> None:
        if kind == "metrics":
            if data.get("train_loss") is not None and data.get("step") is not None:
                self.losses.append((int(data["step"]), float(data["train_loss"])))
        elif message:
            self._message = message

    def _progress(self) -> Mapping[str, Any]:
        progress: Mapping[str, Any] = (self.job.model_extra or {}).get("progress") or {}
        return progress

    def _reason(self) -> str:
        if self.job.error is not None and self.job.error.message:
            return self.job.error.message
        reason: str = (self.job.model_extra or {}).get("state_reason") or ""
        return reason

    def _standing(self) -> tuple[str, str, str]:
        return self.state, self._reason(), self._place()

    def _place(self) -> str:
        return place_of(self.job.model_extra or {})

    def _line(self) -> str:
        parts = [self.state]
        if place := self._place():
            parts.append(place)
        progress = self._progress()
        if progress.get("total_steps"):
            parts.append(f"step {progress.get('step', 0)} of {progress['total_steps']}")
        if self.losses:
            parts.append(f"loss {self.losses[-1][1]:.3f}")
        if progress.get("eta_seconds") and self.job.status not in FINAL:
            parts.append(f"about {round(progress['eta_seconds'])} s left")
        if self.job.fine_tuned_model:
            parts.append(self.job.fine_tuned_model)
        return " · ".join(parts)

    def __repr__(self) -> str:
        said = self._reason() or self._message
        return f"Fine-tune {self.id}: {self._line()}" + (f" ({said})" if said else "")

    def _repr_html_(self) -> str:
        progress = self._progress()
        total = progress.get("total_steps") or 0
        share = 1.0 if self.job.status == "succeeded" else (progress.get("step", 0) / total if total else 0.0)
        colour = "error" if self.job.status in ("failed", "cancelled") else "brand"
        said = self._reason() or self._message
        return (
            f"<div><b>Fine-tune</b> {escape(self.id)}<br>{escape(self._line())}"
            "<div role='progressbar'"
            " style='width:480px;height:6px;margin:4px 0;background:var(--jp-layout-color3,#ddd)'"
            f" aria-valuemin='0' aria-valuemax='100' aria-valuenow='{round(share * 100)}'>"
            f"<div style='width:{share:.1%};height:100%;background:var(--jp-{colour}-color1,#1976d2)'></div></div>"
            f"{loss_svg(self.losses, total)}"
            + (f"<div style='color:var(--jp-ui-font-color2,#777)'>{escape(said)}</div>" if said else "")
            + "</div>"
        )


def fine_tune(
    data: Any,
    *,
    base: str | None = None,
    validation: Any = None,
    suffix: str | None = None,
    epochs: int | Literal["auto"] = "auto",
    batch_size: int | Literal["auto"] = "auto",
    learning_rate_multiplier: float | Literal["auto"] = "auto",
    seed: int | None = None,
    on: str | None = None,
    priority: int | None = None,
    max_run_seconds: int | None = None,
    wait: bool = True,
) -> FineTune:
    """Fine-tune a model with LoRA on `data`, and watch it.

    Args:
        data: a DataFrame or list of dictionaries (see `training_data.to_jsonl`), a path to a JSONL file in OpenAI's
            chat format, or the id of an uploaded file.
        base: the model to start from; the platform's first chat model when left out.
        validation: as `data`; its loss is reported too.
        suffix: a word in the new model's name.
        on: the cluster that runs it, by name (see `listings.clusters`); the platform's own machine when left out.
        priority: -2 to 2; higher runs first.
        max_run_seconds: a job that trains longer fails.
        wait: with False, return at once; ``.wait()`` watches later.

    Raises:
        ValueError: the data cannot be turned into examples; names the row.
        LookupError: there is no such cluster, or no model to start from.
        openai.BadRequestError: the platform refuses the job; says why.
        FineTuneFailed: the job failed.
    """
    method: Method = {
        "type": "supervised",
        "supervised": {
            "hyperparameters": {
                "n_epochs": epochs,
                "batch_size": batch_size,
                "learning_rate_multiplier": learning_rate_multiplier,
            }
        },
    }
    if on is not None:
        check_place(on)
    ours = {"cluster": on, "priority": priority, "max_run_seconds": max_run_seconds}
    optional: dict[str, Any] = {"suffix": suffix, "seed": seed}
    if validation is not None:
        optional["validation_file"] = _file_id(validation)
    job = shared_client().fine_tuning.jobs.create(
        model=base or default_model(),
        training_file=_file_id(data),
        method=method,
        extra_body={key: value for key, value in ours.items() if value is not None},
        **{key: value for key, value in optional.items() if value is not None},
    )
    remember("fine_tuning.job", job.id, job.model)
    run = FineTune(job)
    return run.wait() if wait else run


def _file_id(data: Any) -> str:
    if isinstance(data, str) and data.startswith("file-"):
        return data
    if isinstance(data, str | Path):
        return upload(data, purpose="fine-tune").id
    return upload(data).id
