"""What a run is told: ``config.json`` in the working folder."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from perijove_platform.trainer.errors import TrainingError

Auto = Literal["auto"]

MAX_AUTO_BATCH = 8
MAX_AUTO_EPOCHS = 10
EXAMPLES_WORTH_ONE_EPOCH = 180
EXAMPLES_A_BATCH_SLOT = 15
SMALL_MODEL_PARAMETERS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """The configuration of a run.

    Attributes:
        base_model: the GGUF file of the base model, or a folder in Hugging Face's layout.
        training_file: JSONL in OpenAI's chat format, relative to the working folder.
        validation_file: same, or ``None``.
        n_epochs: passes over the training file.
        batch_size: examples per step.
        learning_rate_multiplier: times `base_learning_rate`.
        max_steps: stop after so many steps, whatever `n_epochs` says.
        max_length: tokens; longer examples are cut.
        lora_r: rank of the adapter.
        lora_alpha: the adapter is scaled by ``lora_alpha / lora_r``.
        checkpoint_steps: a checkpoint at least every so many steps, besides those at the end of each epoch.
        checkpoint_seconds: and at least every so many seconds.
        activation_checkpointing: less memory for about a third more time; ``None`` does so on GPUs only.
    """

    base_model: str
    training_file: str
    validation_file: str | None = None
    n_epochs: int | Auto = "auto"
    batch_size: int | Auto = "auto"
    learning_rate_multiplier: float | Auto = "auto"
    max_steps: int | None = None
    max_length: int = 2048
    seed: int = 0
    lora_r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 30.0
    activation_checkpointing: bool | None = None

    @classmethod
    def read(cls, path: Path) -> "TrainerConfig":
        """Raises `TrainingError` when the file is not such a configuration."""
        try:
            values: dict[str, Any] = json.loads(path.read_bytes())
            unknown = values.keys() - {field.name for field in fields(cls)}
            if unknown:
                raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
            return cls(**values)
        except (OSError, ValueError, TypeError) as error:
            raise TrainingError(f"The trainer's {path.name} cannot be used: {error}.", code="invalid_config") from error


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The numbers of a run once "auto" has been decided."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    learning_rate: float


def base_learning_rate(parameters: int) -> float:
    """LoRA bears about ten times the rate of full fine-tuning, and small models bear more."""
    return 1e-3 if parameters < SMALL_MODEL_PARAMETERS else 2e-4


def make_plan(config: TrainerConfig, *, examples: int, parameters: int) -> Plan:
    """Decide "auto": about 180 examples seen for small files, one to ten epochs, batches of at most 8."""
    epochs: int
    if isinstance(config.n_epochs, int):
        epochs = config.n_epochs
    else:
        epochs = min(MAX_AUTO_EPOCHS, max(1, -(-EXAMPLES_WORTH_ONE_EPOCH // examples)))
    batch: int
    if isinstance(config.batch_size, int):
        batch = config.batch_size
    else:
        batch = min(MAX_AUTO_BATCH, max(1, examples // EXAMPLES_A_BATCH_SLOT))
    multiplier = config.learning_rate_multiplier
    if isinstance(multiplier, str):
        multiplier = 1.0
    return Plan(
        n_epochs=epochs,
        batch_size=batch,
        learning_rate_multiplier=multiplier,
        learning_rate=base_learning_rate(parameters) * multiplier,
    )
