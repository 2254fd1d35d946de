"""Stands in for the trainer where torch would only take time: same arguments, same files, same reports.

``script`` in the configuration says how many steps it takes and what goes wrong.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

STOP = threading.Event()


def main() -> int:
    work = Path(sys.argv[1])
    threading.Thread(target=read_stdin, daemon=True).start()
    config = json.loads((work / "config.json").read_bytes())
    script = config["script"]
    (work / "program.pid").write_text(str(os.getpid()))
    checkpoints = work / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    first = max((int(path.name.partition("-")[2]) for path in checkpoints.glob("checkpoint-*")), default=0)
    if first:
        assert json.loads((checkpoints / f"checkpoint-{first}" / "state.json").read_bytes()) == {"step": first}
    say("message", level="info", message=f"starting after step {first} with {sizes(work, config)}")
    print(f"log of a run from step {first}", file=sys.stderr, flush=True)
    print("no JSON", flush=True)
    if script.get("orphans"):
        leave_orphans(work)
        say("message", level="info", message="orphans were left to process 1")
    say("plan", total_steps=script["steps"], n_epochs=1, batch_size=2, learning_rate_multiplier=1.0)
    hoard = []
    for step in range(first + 1, script["steps"] + 1):
        time.sleep(script.get("step_seconds", 0.0))
        figures = {"train_loss": 1 / step, "learning_rate": 1e-3, "eta_seconds": 1.0}
        stop = STOP.is_set()
        saves = step % script.get("checkpoint_steps", 1) == 0 or stop
        if saves:  # before anything is told of the step: whoever hears of it may end this
            checkpoint(checkpoints, step, script.get("checkpoint_bytes", 1000))
        say("metrics", step=step, total_steps=script["steps"], epoch=0.5, **figures)
        if saves:
            say("checkpoint", step=step, epoch=0.5, path=f"checkpoints/checkpoint-{step}", metrics={"step": step})
        if stop:
            return 4
        if step == script.get("error_at"):
            say("error", code="diverged", message="The loss became nan.", param="hyperparameters")
            return 1
        if step == script.get("die_at") and first < step:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == script.get("invalid_at"):
            say("metrics", step="three", total_steps=0)
        while script.get("hoard_bytes"):
            hoard.append(bytearray(os.urandom(1) * script["hoard_bytes"]))
        while step in script.get("hold_at", ()) and not (work / f"go-{step}").exists() and not STOP.is_set():
            time.sleep(0.02)
    (work / "adapter.gguf").write_bytes(Path(script["adapter"]).read_bytes())
    (work / "step_metrics.csv").write_text("step,train_loss\n1,1.0\n")
    result = {"adapter": "adapter.gguf", "metrics_file": "step_metrics.csv", "trained_tokens": 1234}
    (work / "result.json").write_text(json.dumps({"type": "result", **result}))
    say("result", **result)
    return 0


def leave_orphans(work: Path) -> None:
    """Processes whose parents end before them; returns once process 1 has them, and they are about to end."""
    code = (
        "import os, time\n"
        "while os.getppid() != 1: time.sleep(0.01)\n"
        "os.close(os.open(f'orphan-{os.getpid()}', os.O_CREAT))"
    )
    for _ in range(3):
        if os.fork() == 0:
            subprocess.Popen([sys.executable, "-c", code], cwd=work)
            os._exit(0)
        os.wait()
    while len(list(work.glob("orphan-*"))) < 3:
        time.sleep(0.02)


def sizes(work: Path, config: dict[str, Any]) -> str:
    files = (config["base_model"], config["training_file"])
    return " and ".join(f"{name} of {(work / name).stat().st_size} bytes" for name in files)


def checkpoint(folder: Path, step: int, size: int) -> None:
    building = folder / f"building-{step}"
    (building / "deep").mkdir(parents=True)
    (building / "state.json").write_text(json.dumps({"step": step}))
    (building / "deep" / "weights").write_bytes(os.urandom(size))
    building.rename(folder / f"checkpoint-{step}")


def say(type: str, **fields: object) -> None:
    print(json.dumps({"type": type, **fields}), flush=True)


def read_stdin() -> None:
    for line in sys.stdin:
        if line == "stop\n":
            STOP.set()
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
