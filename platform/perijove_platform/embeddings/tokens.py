"""Token counts without a network: the Llama 2 tokenizer (32,000 pieces) that the wordllama package carries."""

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOKENIZER_FILE = Path("tokenizers", "l2_supercat_tokenizer_config.json")


def wordllama_file(relative: Path) -> Path:
    """A data file of the installed wordllama package.

    The package itself is not imported: doing so reconfigures the root logger and loads an HTTP client.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the Python package 'wordllama' is not installed; reinstall Perijove")
    return Path(spec.submodule_search_locations[0]) / relative


@functools.cache
def tokenizer() -> "Tokenizer":
    """The tokenizer, without padding, truncation or special tokens; loading takes a few tenths of a second."""
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(wordllama_file(_TOKENIZER_FILE)))
    loaded.no_padding()
    loaded.no_truncation()
    return loaded
