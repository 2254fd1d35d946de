"""Where one manager meets another: each bridge gives a manager what it asks for in its own words."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perijove_platform.embeddings import EmbeddingModels
from perijove_platform.errors import BadRequest, NotFound
from perijove_platform.files.service import FilesService, object_key
from perijove_platform.fine_tuning.sources import LineError, TrainingFile
from perijove_platform.inference.catalog import Passage
from perijove_platform.models.service import ModelsService
from perijove_platform.rbac import SCOPES, Caller
from perijove_platform.runtimes.base import ModelSpec
from perijove_platform.vector_stores.schemas import SearchRequest
from perijove_platform.vector_stores.service import VectorStoresService
from perijove_platform.vector_stores.sources import SourceFile


class FilesForJobs:
    """`fine_tuning.sources.TrainingFiles` and `batch_jobs.sources.InputFiles` by the files manager."""

    def __init__(self, files: FilesService) -> None:
        self._files = files

    async def training_file(self, caller: Caller, file_id: str) -> TrainingFile:
        file = await self._files.get(caller.project_id, file_id)
        validation = await self._files.validate(caller.project_id, file_id)
        return TrainingFile(
            id=file.id,
            purpose=file.purpose,
            key=object_key(caller.project_id, file_id),
            errors=[LineError(error.line, error.message) for error in validation.errors],
            examples=validation.examples,
        )

    async def key_of(self, caller: Caller, file_id: str) -> str:
        return object_key(caller.project_id, (await self._files.get(caller.project_id, file_id)).id)

    async def add_result(self, caller: Caller, *, file_id: str, filename: str, path: Path) -> None:
        await self._files.create_from_path(
            caller, path, filename=filename, purpose="fine-tune-results", file_id=file_id
        )


class FilesForVectorStores:
    """`vector_stores.sources.SourceFiles` by the files manager."""

    def __init__(self, files: FilesService) -> None:
        self._files = files

    async def find(self, project_id: str, file_id: str) -> SourceFile | None:
        file = await self._files.find(project_id, file_id)
        return None if file is None else SourceFile(file.id, file.filename, file.bytes)

    def read(self, project_id: str, file_id: str) -> AsyncIterator[bytes]:
        return self._files.open(project_id, file_id)


class SearchForInference:
    """`inference.catalog.FileSearch` by the vector stores manager."""

    def __init__(self, stores: VectorStoresService) -> None:
        self._stores = stores

    async def search_passages(
        self,
        project_id: str,
        vector_store_ids: Sequence[str],
        query: str,
        *,
        max_num_results: int,
        filters: Mapping[str, Any] | None = None,
        ranking_options: Mapping[str, Any] | None = None,
    ) -> Sequence[Passage]:
        try:
            request = SearchRequest.model_validate(
                {
                    "query": query,
                    "max_num_results": max_num_results,
                    "filters": filters,
                    "ranking_options": ranking_options,
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadRequest(f"file_search: invalid '{where}': {first['msg']}.", param="tools") from None
        found = await self._stores.search_many(_for_project(project_id), list(vector_store_ids), request)
        return [
            Passage(
                file_id=result.file_id,
                filename=result.filename,
                score=result.score,
                text="\n".join(part.text for part in result.content),
                attributes=result.attributes,
            )
            for result in found
        ]


class ModelsForEmbeddings(EmbeddingModels):
    """`embeddings.EmbeddingModels` by the models manager."""

    def __init__(self, models: ModelsService) -> None:
        self._models = models

    async def embedding_model(self, project_id: str, model: str) -> ModelSpec | None:
        caller = _for_project(project_id)
        try:
            found = await self._models.get(caller, model)
        except NotFound:
            return None
        return await self._models.spec(caller, model) if found.kind == "embedding" else None


def _for_project(project_id: str) -> Caller:
    """The platform itself, acting inside one project on a request that was authorized already."""
    return Caller("platform", "platform", "", project_id, SCOPES, "")
