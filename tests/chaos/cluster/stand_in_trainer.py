"""Stands in for the training stack, and for nothing else, in real pods: the runner that starts it is the real one.

What it does is said by the first training example, whose answer is the script of `scripted_program` as JSON, and
besides ``log_line_bytes``: the length of a line that it writes to the log first, once it is let go on from step 0.
"""

import json
import sys
import time
from pathlib import Path

from perijove_platform.trainer import scripted_program

PIECE = b"x" * (1 << 20)


def main() -> int:
    work = Path(sys.argv[1])
    config = json.loads((work / "config.json").read_bytes())
    with (work / config["training_file"]).open(encoding="utf-8") as examples:
        script = json.loads(json.loads(examples.readline())["messages"][-1]["content"])
    adapter = work / "made.gguf"
    adapter.write_bytes(b"GGUF of nothing")
    config["script"] = {**script, "adapter": str(adapter)}
    (work / "config.json").write_text(json.dumps(config))
    size = script.get("log_line_bytes", 0)
    while size and not (work / "go-0").exists():
        time.sleep(0.05)
    write_line(size)
    return scripted_program.main()


def write_line(size: int) -> None:
    for written in range(0, size, len(PIECE)):
        sys.stderr.buffer.write(PIECE[: size - written])
    if size:
        sys.stderr.buffer.write(b"\nthe line after the long one\n")
        sys.stderr.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
