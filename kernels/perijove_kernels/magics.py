"""`%%chat` streams an answer into the cell; `%perijove` lists what the platform has."""

import re
from collections.abc import Mapping
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import Markdown, display
from openai import APIError
from openai.types.chat import ChatCompletionMessageParam
from perijove_platform.discovery import NotRunning, connect
from traitlets import Float, Int, Unicode

from perijove_kernels import listings
from perijove_kernels.connection import default_model, shared_client
from perijove_kernels.streaming import stream_markdown

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
MAX_HISTORY = 100


@magics_class
class PerijoveMagics(Magics):
    """Configured with `%config PerijoveMagics`."""

    model = Unicode("", help="The chat model; the platform's first one when empty.").tag(config=True)
    system = Unicode("", help="What the model is told before every conversation.").tag(config=True)
    temperature = Float(None, allow_none=True, help="0 is deterministic; the model's default when unset.").tag(
        config=True
    )
    max_tokens = Int(1024, help="The longest answer.").tag(config=True)

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell=shell, **options)
        self._history: list[ChatCompletionMessageParam] = []

    @no_var_expand
    @needs_local_scope
    @magic_arguments()
    @argument("-m", "--model", help="The model to ask.")
    @argument("-s", "--system", help="What the model is told before the conversation.")
    @argument("-t", "--temperature", type=float, help="0 is deterministic.")
    @argument("-n", "--max-tokens", type=int, help="The longest answer.")
    @argument(
        "-c", "--continue", dest="go_on", action="store_true", help="Go on with the conversation of the last cell."
    )
    @argument("-o", "--output", help="The variable that takes the answer.")
    @cell_magic
    def chat(self, line: str, cell: str, local_ns: Mapping[str, Any] | None = None) -> None:
        """Ask a model; the answer streams into the cell as Markdown. Interrupt the cell to stop it.

        ``{name}`` in the text is replaced by that variable; other braces are left alone.
        """
        arguments = parse_argstring(self.chat, line)
        names = {**self._namespace, **(local_ns or {})}
        prompt = _NAME.sub(lambda found: str(names.get(found[1], found[0])), cell).strip()
        if not prompt:
            raise UsageError("Write what to ask below %%chat.")
        history = self._history if arguments.go_on else self._fresh(arguments.system or self.system)
        messages: list[ChatCompletionMessageParam] = [*history, {"role": "user", "content": prompt}]
        options: dict[str, Any] = {}
        temperature = arguments.temperature if arguments.temperature is not None else self.temperature
        if temperature is not None:
            options["temperature"] = temperature
        try:
            answer = stream_markdown(
                shared_client(),
                model=arguments.model or self.model or default_model(),
                messages=messages,
                max_tokens=arguments.max_tokens or self.max_tokens,
                **options,
            )
        except APIError as error:
            raise UsageError(f"The platform refused: {error.message}") from None
        except (NotRunning, LookupError) as error:
            raise UsageError(str(error)) from None
        messages.append({"role": "assistant", "content": answer})
        self._history = messages[-MAX_HISTORY:]
        if arguments.output:
            self._namespace[arguments.output] = answer

    @property
    def _namespace(self) -> dict[str, Any]:
        assert self.shell is not None
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def _fresh(self, system: str) -> list[ChatCompletionMessageParam]:
        return [{"role": "system", "content": system}] if system else []

    @line_magic
    def perijove(self, line: str) -> Any:
        """``%perijove [status|models|files|jobs|clusters|vector-stores]``"""
        what = line.strip() or "status"
        try:
            if what == "status":
                connection = connect()
                display(Markdown(f"The platform answers at `{connection.base_url}`."))
                return listings.models()
            lists = {
                "models": listings.models,
                "files": listings.files,
                "jobs": listings.jobs,
                "clusters": listings.clusters,
                "vector-stores": listings.vector_stores,
            }
            if what not in lists:
                raise UsageError(f"%perijove knows status, {', '.join(lists)}; not '{what}'.")
            return lists[what]()
        except APIError as error:
            raise UsageError(f"The platform refused: {error.message}") from None
        except NotRunning as error:
            raise UsageError(str(error)) from None
