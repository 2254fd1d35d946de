"""Perijove in a notebook cell: the client, fine-tuning from a DataFrame, batch jobs, vector search, and the magics."""

from perijove_kernels.batch_jobs import BatchJob, batch_job
from perijove_kernels.cleaning import clean_up, created
from perijove_kernels.connection import async_client, client, default_model
from perijove_kernels.extension import load_ipython_extension, unload_ipython_extension
from perijove_kernels.files import upload
from perijove_kernels.fine_tuning import FineTune, fine_tune
from perijove_kernels.listings import Listing, clusters, files, jobs, models, vector_stores
from perijove_kernels.vector_search import SearchResults, VectorStore, vector_store

__all__ = [
    "BatchJob",
    "FineTune",
    "Listing",
    "SearchResults",
    "VectorStore",
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
