"""One fine-tune from its configuration to its adapter."""

import csv
import json
import math
import threading
from pathlib import Path
from typing import Any

from perijove_platform.trainer import adapter, base_model
from perijove_platform.trainer.checkpoints import Checkpoints
from perijove_platform.trainer.config import Plan, TrainerConfig, make_plan
from perijove_platform.trainer.data import Examples, load_examples
from perijove_platform.trainer.report import Reporter

ADAPTED = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj"]
"""The linear layers of the supported architectures; each model has some of them."""

ADAPTER_FOLDER = "adapter"
ADAPTER_FILE = "adapter.gguf"
METRICS_FILE = "step_metrics.csv"
RESULT_FILE = "result.json"
"""Written last: a run whose folder has it is complete, though nobody may have read its report."""
CSV_COLUMNS = {
    "train_loss": "loss",
    "train_accuracy": "mean_token_accuracy",
    "valid_loss": "eval_loss",
    "valid_mean_token_accuracy": "eval_mean_token_accuracy",
}
"""OpenAI's columns of the results file, after ``step``, and trl's names of them."""


def run(config: TrainerConfig, work: Path, cache: Path, reporter: Reporter, stop: threading.Event) -> bool:
    """Train in the folder `work`, going on from its newest checkpoint if it has one.

    Args:
        cache: where converted base models are kept.
        stop: once it is set, end after the next step and its checkpoint.

    Returns:
        whether the training is complete; else it was stopped, and has left a checkpoint.

    Raises:
        TrainingError: for everything that the person who started the job can do something about.
    """
    reporter.progress("load", "Loading the training libraries")
    import transformers
    from trl import SFTTrainer

    transformers.utils.logging.disable_progress_bar()
    reporter.progress("load", "Reading the base model")
    base = base_model.prepare(
        Path(config.base_model),
        cache,
        on_convert=lambda: reporter.message("Converting the base model for training (once for each model)"),
    )
    tokenizer, model = base_model.load(base)
    limit = min(config.max_length, model.config.max_position_embeddings)
    reporter.progress("tokenize", "Tokenizing the training file")
    training = load_examples(work / config.training_file, tokenizer, max_length=limit, param="training_file")
    validation = None
    if config.validation_file is not None:
        validation = load_examples(work / config.validation_file, tokenizer, max_length=limit, param="validation_file")
    _warn(training, limit, reporter)
    plan = make_plan(config, examples=len(training.examples), parameters=model.num_parameters())
    total_steps = _total_steps(config, plan, len(training.examples))

    transformers.set_seed(config.seed)
    checkpoints = Checkpoints(work / "checkpoints")
    progress = _progress(reporter, checkpoints, config, total_steps, stop)
    trainer = SFTTrainer(
        model=model,
        args=_arguments(config, plan, checkpoints, validation=validation is not None),
        train_dataset=_dataset(training),
        eval_dataset=None if validation is None else _dataset(validation),
        processing_class=tokenizer,
        peft_config=_lora(config, model),
        callbacks=[progress],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    resume = checkpoints.latest()
    _announce(reporter, plan, training, total_steps, resume)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    if progress.stopped:
        reporter.message(f"Stopped with a checkpoint of step {trainer.state.global_step}")
        return False

    reporter.progress("save", "Writing the adapter")
    trainer.save_model(str(work / ADAPTER_FOLDER))
    adapter.write_gguf(
        work / ADAPTER_FOLDER, work / ADAPTER_FILE, architecture=base.architecture, model_config=model.config
    )
    _write_metrics(work / METRICS_FILE, trainer.state.log_history)
    result = {
        "type": "result",
        "adapter": ADAPTER_FILE,
        "metrics_file": METRICS_FILE,
        "steps": trainer.state.global_step,
        "trained_tokens": round(training.tokens * trainer.state.epoch),
        "n_epochs": plan.n_epochs,
        "batch_size": plan.batch_size,
        "learning_rate_multiplier": plan.learning_rate_multiplier,
    }
    _write_result(work / RESULT_FILE, result)
    reporter.send(**result)
    return True


def _warn(training: Examples, limit: int, reporter: Reporter) -> None:
    if training.cut:
        reporter.message(f"{training.cut} examples are longer than {limit} tokens and were cut", "warn")
    if training.dropped:
        message = f"{training.dropped} examples have no assistant message within {limit} tokens and were left out"
        reporter.message(message, "warn")


def _total_steps(config: TrainerConfig, plan: Plan, examples: int) -> int:
    steps = math.ceil(examples / plan.batch_size) * plan.n_epochs
    return min(steps, config.max_steps) if config.max_steps else steps


def _announce(reporter: Reporter, plan: Plan, training: Examples, total_steps: int, resume: Path | None) -> None:
    reporter.send(
        "plan",
        total_steps=total_steps,
        examples=len(training.examples),
        n_epochs=plan.n_epochs,
        batch_size=plan.batch_size,
        learning_rate_multiplier=plan.learning_rate_multiplier,
    )
    if resume is None:
        message = (
            f"Training on {len(training.examples)} examples: {total_steps} steps, {plan.n_epochs} epochs, "
            f"batch size {plan.batch_size}, learning rate {plan.learning_rate:g}"
        )
    else:
        message = f"Going on from the checkpoint of step {resume.name.rpartition('-')[2]} of {total_steps}"
    reporter.message(message)


def _arguments(config: TrainerConfig, plan: Plan, checkpoints: Checkpoints, *, validation: bool) -> Any:
    import torch
    from trl import SFTConfig

    gpu = torch.cuda.is_available()
    save_memory = gpu if config.activation_checkpointing is None else config.activation_checkpointing
    return SFTConfig(
        output_dir=str(checkpoints.building),
        num_train_epochs=plan.n_epochs,
        max_steps=config.max_steps or -1,
        per_device_train_batch_size=plan.batch_size,
        per_device_eval_batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0.05,
        logging_steps=1,
        eval_strategy="epoch" if validation else "no",
        save_strategy="no",
        seed=config.seed,
        bf16=gpu,
        use_cpu=not gpu,
        activation_checkpointing=save_memory,
        dataloader_pin_memory=gpu,
        disable_tqdm=True,
        report_to="none",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _dataset(examples: Examples) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [example.input_ids for example in examples.examples],
            "labels": [example.labels for example in examples.examples],
        }
    )


def _lora(config: TrainerConfig, model: Any) -> Any:
    from peft import LoraConfig

    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=[name for name in ADAPTED if name in present],
        task_type="CAUSAL_LM",
    )


def _progress(
    reporter: Reporter, checkpoints: Checkpoints, config: TrainerConfig, total_steps: int, stop: threading.Event
) -> Any:
    from perijove_platform.trainer.progress import ProgressCallback

    return ProgressCallback(reporter, checkpoints, config, total_steps, stop)


def _write_metrics(path: Path, history: list[dict[str, Any]]) -> None:
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        figures = {ours: entry[theirs] for ours, theirs in CSV_COLUMNS.items() if theirs in entry}
        if figures:
            rows.setdefault(entry["step"], {"step": entry["step"]}).update(figures)
    building = path.with_name(f"{path.name}.part")
    with building.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["step", *CSV_COLUMNS])
        writer.writeheader()
        writer.writerows(rows[step] for step in sorted(rows))
    building.rename(path)


def _write_result(path: Path, result: dict[str, Any]) -> None:
    building = path.with_name(f"{path.name}.part")
    building.write_text(json.dumps(result), encoding="utf-8")
    building.rename(path)
