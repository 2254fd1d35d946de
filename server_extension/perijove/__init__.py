"""Perijove for Jupyter: the server extension, ``%load_ext perijove``, and the client for notebooks.

Importing this module loads next to nothing: what notebooks use is imported when it is first asked for,
so that neither JupyterLab nor a kernel pays at its start.
"""

from typing import TYPE_CHECKING, Any

from perijove_platform import __version__

if TYPE_CHECKING:
    from perijove_kernels import (
        BatchJob,
        FineTune,
        Listing,
        SearchResults,
        VectorStore,
        async_client,
        batch_job,
        clean_up,
        client,
        clusters,
        created,
        default_model,
        files,
        fine_tune,
        jobs,
        load_ipython_extension,
        models,
        unload_ipython_extension,
        upload,
        vector_store,
        vector_stores,
    )

__all__ = [
    "BatchJob",
    "FineTune",
    "Listing",
    "SearchResults",
    "VectorStore",
    "__version__",
    "async_client",
    "batch_job",
    "clean_up",
    "client",
    "clusters",
    "created",
    "default_model",
    "files",
    "fine_tune",
    "jobs",
    "load_ipython_extension",
    "models",
    "unload_ipython_extension",
    "upload",
    "vector_store",
    "vector_stores",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        import perijove_kernels

        return getattr(perijove_kernels, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from perijove.application import PerijoveApp

    return [{"module": "perijove", "app": PerijoveApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "@perijove/labextension"}]
