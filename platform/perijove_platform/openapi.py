"""The OpenAPI document: `python -m perijove_platform.openapi` prints it; it is committed beside this file."""

import json
import sys
from pathlib import Path

from perijove_platform.app import create_app
from perijove_platform.settings import Settings

DOCUMENT = Path(__file__).with_name("openapi.json")


def document() -> str:
    """The document of the routes as they are, with stable key order."""
    app = create_app(Settings(data_dir=Path("unused"), cache_dir=Path("unused")))
    return json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
