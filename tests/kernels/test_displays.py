"""What cells show: escaped, bounded, and readable without HTML."""

from openai.types.fine_tuning import FineTuningJob
from perijove_kernels.fine_tuning import FineTune
from perijove_kernels.listings import Listing
from perijove_kernels.loss_plot import MAX_POINTS, loss_svg

JOB = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "created_at": 1,
    "hyperparameters": {},
    "model": "m",
    "organization_id": "o",
    "result_files": [],
    "seed": 1,
    "status": "running",
    "training_file": "file-1",
    "state": "running",
    "progress": {"step": 5, "total_steps": 10, "eta_seconds": 12.4},
}


def test_a_listing_escapes_what_it_shows() -> None:
    shown = Listing("Files", [{"id": "file-1", "filename": "<script>alert(1)</script>"}])
    assert "<script>" not in shown._repr_html_()
    assert "file-1  <script>" in repr(shown)


def test_a_job_shows_step_loss_and_time_left() -> None:
    run = FineTune(FineTuningJob.model_validate(JOB))
    metrics = {"type": "metrics", "job_id": "ftjob-1", "message": "", "data": {"step": 5, "train_loss": 1.25}}
    assert run._take({"type": "fine_tuning.job.event", "object_id": "ftjob-1", "data": metrics})
    assert not run._take({"type": "fine_tuning.job.updated", "object_id": "ftjob-2", "data": JOB})
    assert "running · step 5 of 10 · loss 1.250 · about 12 s left" in repr(run)
    assert "aria-valuenow='50'" in run._repr_html_()
    assert "Training loss, now 1.250" in run._repr_html_()


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    points = [(step, 100.0 - step / 100) for step in range(9999)]
    drawn = loss_svg(points, 10_000)
    line = drawn.split("points='")[1].split("'")[0]
    assert len(line.split()) <= MAX_POINTS
    assert f"now {points[-1][1]:.3f}" in drawn


def test_values_that_are_not_numbers_are_left_out() -> None:
    assert loss_svg([(1, float("nan"))], 10) == ""
