"""Stands in for the trainer where torch would only take time: same arguments, same files, same reports.

The file ``script.json`` in the working folder says how many steps it takes and what goes wrong.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path


def main() -> None:
    folder = Path(sys.argv[1])
    threading.Thread(target=end_with_parent, daemon=True).start()
    config = json.loads((folder / "config.json").read_bytes())
    script = config["script"]
    (folder / "pid").write_text(str(os.getpid()))
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    first = max((int(path.name) for path in checkpoints.iterdir()), default=0)
    print(f"starting after step {first}", file=sys.stderr, flush=True)
    report("plan", total_steps=script["steps"], n_epochs=1, batch_size=2, learning_rate_multiplier=1.0)
    hoard = []
    for step in range(first + 1, script["steps"] + 1):
        print(f"log of step {step}", file=sys.stderr, flush=True)
        (checkpoints / str(step)).touch()  # before anything is told of the step: whoever hears of it may end this
        figures = {"train_loss": 1 / step, "learning_rate": 1e-3, "eta_seconds": 1.0, "epoch": 0.5}
        report("metrics", step=step, total_steps=script["steps"], **figures)
        report("checkpoint", step=step, epoch=0.5, path=f"checkpoints/{step}", metrics={"step": step, **figures})
        if step == script.get("error_at"):
            report("error", code="diverged", message="The loss became nan.", param="hyperparameters")
            sys.exit(1)
        if step == script.get("die_at") and first < step:
            os.kill(os.getpid(), signal.SIGKILL)
        if script.get("hoard_bytes"):
            hoard.append(bytearray(os.urandom(1) * script["hoard_bytes"]))
        while step == script.get("wait_at") and not (folder / "go").exists():
            time.sleep(0.02)
    (folder / "adapter.gguf").write_bytes(Path(script["adapter"]).read_bytes() if "adapter" in script else b"GGUF")
    (folder / "step_metrics.csv").write_text("step,train_loss\n1,1.0\n")
    result = {
        "adapter": "adapter.gguf",
        "metrics_file": "step_metrics.csv",
        "steps": script["steps"],
        "trained_tokens": 1234,
    }
    (folder / "result.json").write_text(json.dumps({"type": "result", **result}))
    report("result", **result)


def report(type: str, **fields: object) -> None:
    print(json.dumps({"type": type, **fields}), flush=True)


def end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(3)


main()
