"""What a job's runner and the platform say to each other."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from perijove_platform.runner.contract import MAX_REPORT_BYTES, MAX_REPORTS
from perijove_platform.schemas import Request, Response

FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
CHECKPOINT = r"checkpoints/[0-9]{1,9}\.tar"
Step = Annotated[int, Field(ge=0, le=2**31 - 1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=MAX_REPORT_BYTES)]
ResultName = Annotated[str, Field(pattern=rf"^{FILE_NAME}$")]
"""A plain file name: what a job says is joined to a folder of the platform's."""
ObjectPath = Annotated[str, Field(pattern=rf"^({CHECKPOINT}|results/{FILE_NAME})$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Report(BaseModel):
    """One line that a program reported; see `trainer.report`. Further fields are passed on."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="after")
    def _check_size(self) -> _Report:
        try:
            size = len(json.dumps(self.fields(), allow_nan=False))
        except (ValueError, TypeError) as error:
            raise ValueError(f"it is no JSON: {error}") from None
        if size > MAX_REPORT_BYTES:
            raise ValueError(f"it has {size} bytes as JSON, a report has at most {MAX_REPORT_BYTES}")
        return self

    def fields(self) -> dict[str, Any]:
        """As it was sent."""
        return self.model_dump(exclude_unset=True)


class MessageReport(_Report):
    type: Literal["message"]
    level: Literal["info", "warn", "error"]
    message: Text


class PlanReport(_Report):
    type: Literal["plan"]
    total_steps: Step
    n_epochs: Step
    batch_size: Step
    learning_rate_multiplier: Number


class ProgressReport(_Report):
    type: Literal["progress"]
    phase: Text
    message: Text


class MetricsReport(_Report):
    type: Literal["metrics"]
    step: Step
    total_steps: Step
    epoch: Number | None
    train_loss: Number | None = None
    valid_loss: Number | None = None
    eta_seconds: Annotated[float, Field(ge=0, le=10**9)] | None = None


class CheckpointReport(_Report):
    type: Literal["checkpoint"]
    step: Step
    metrics: dict[str, Any]


class ResultReport(_Report):
    type: Literal["result"]
    adapter: ResultName
    metrics_file: ResultName
    trained_tokens: Annotated[int, Field(ge=0, le=2**53)]


class ErrorReport(_Report):
    type: Literal["error"]
    code: Annotated[str, Field(max_length=256)]
    message: Text
    param: Text | None = None


class StoredReport(_Report):
    """The runner's own: an object for which it had a URL lies in the store, whole."""

    type: Literal["stored"]
    path: ObjectPath
    size: Annotated[int, Field(ge=0, le=2**53)]
    sha256: Sha256


Report = Annotated[
    MessageReport
    | PlanReport
    | ProgressReport
    | MetricsReport
    | CheckpointReport
    | ResultReport
    | ErrorReport
    | StoredReport,
    Field(discriminator="type"),
]


class ReportsCreate(Request):
    """Reports of one attempt, numbered from 1 on; `from` is the number of the first of these."""

    attempt: Annotated[int, Field(ge=1, le=2**31 - 1)]
    first: Annotated[int, Field(alias="from", ge=1, le=2**53)]
    reports: Annotated[list[Report], Field(min_length=1, max_length=MAX_REPORTS)]


class ReportsReceived(Response):
    """`received` is the number of the last report of this attempt that is kept."""

    received: int


class Attempt(Response):
    """A pod's turn at the job; earlier ones are refused from now on."""

    attempt: int


class UrlsCreate(Request):
    """What the runner wants to write: `checkpoints/<step>.tar` or `results/<name>`."""

    put: Annotated[list[ObjectPath], Field(min_length=1, max_length=20)]


class Urls(Response):
    """Addresses by what was asked for; they are secrets until `expires_at`."""

    put: dict[str, str]
    expires_at: int


class InputFile(Response):
    """A file to fetch into the working folder."""

    path: str
    url: str
    size: int
    sha256: str


class StoredCheckpoint(InputFile):
    """The newest checkpoint of an earlier attempt, as a tar archive."""

    step: int


class Inputs(Response):
    inputs: list[InputFile]
    checkpoint: StoredCheckpoint | None
    expires_at: int
