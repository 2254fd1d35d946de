"""`/v1/vector_stores`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from perijove_platform.pagination import ListParams, Page
from perijove_platform.rbac import Caller, requires
from perijove_platform.schemas import Deleted
from perijove_platform.vector_stores.schemas import (
    FileAttach,
    FileBatch,
    FileBatchCreate,
    FileContentPage,
    FileListParams,
    FileUpdate,
    SearchPage,
    SearchRequest,
    VectorStore,
    VectorStoreCreate,
    VectorStoreFile,
    VectorStoreUpdate,
)
from perijove_platform.vector_stores.service import VectorStoresService

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"])


def _service(request: Request) -> VectorStoresService:
    service: VectorStoresService = request.app.state.vector_stores
    return service


Service = Annotated[VectorStoresService, Depends(_service)]
Reader = Annotated[Caller, requires("vector_stores.read")]
Writer = Annotated[Caller, requires("vector_stores.write")]


@router.post("")
async def create_vector_store(service: Service, caller: Writer, body: VectorStoreCreate) -> VectorStore:
    """A new store; files that are named are indexed in the background."""
    return await service.create(caller, body)


@router.get("")
async def list_vector_stores(
    service: Service, caller: Reader, params: Annotated[ListParams, Query()]
) -> Page[VectorStore]:
    """The project's stores."""
    return await service.list_stores(caller, params)


@router.get("/{vector_store_id}")
async def retrieve_vector_store(service: Service, caller: Reader, vector_store_id: str) -> VectorStore:
    """One store, with the counts of its files by status."""
    return await service.retrieve(caller, vector_store_id)


@router.post("/{vector_store_id}")
async def modify_vector_store(
    service: Service, caller: Writer, vector_store_id: str, body: VectorStoreUpdate
) -> VectorStore:
    """Change the name, the metadata or the expiry; what is not named stays."""
    return await service.update(caller, vector_store_id, body)


@router.delete("/{vector_store_id}")
async def delete_vector_store(service: Service, caller: Writer, vector_store_id: str) -> Deleted:
    """Delete a store and its vectors; the files themselves stay."""
    return await service.delete(caller, vector_store_id)


@router.post("/{vector_store_id}/search")
async def search_vector_store(
    service: Service, caller: Reader, vector_store_id: str, body: SearchRequest
) -> SearchPage:
    """The passages that answer a query best."""
    return await service.search(caller, vector_store_id, body)


@router.post("/{vector_store_id}/files")
async def create_vector_store_file(
    service: Service, caller: Writer, vector_store_id: str, body: FileAttach
) -> VectorStoreFile:
    """Attach a file; it is indexed in the background. One that is attached already is indexed again."""
    return await service.files.attach(caller, vector_store_id, body)


@router.get("/{vector_store_id}/files")
async def list_vector_store_files(
    service: Service, caller: Reader, vector_store_id: str, params: Annotated[FileListParams, Query()]
) -> Page[VectorStoreFile]:
    """The files of a store, in the order in which they were attached."""
    return await service.files.list_files(caller, vector_store_id, params)


@router.get("/{vector_store_id}/files/{file_id}")
async def retrieve_vector_store_file(
    service: Service, caller: Reader, vector_store_id: str, file_id: str
) -> VectorStoreFile:
    """One file of a store; `last_error` says why indexing failed."""
    return await service.files.retrieve(caller, vector_store_id, file_id)


@router.post("/{vector_store_id}/files/{file_id}")
async def update_vector_store_file(
    service: Service, caller: Writer, vector_store_id: str, file_id: str, body: FileUpdate
) -> VectorStoreFile:
    """Replace the file's attributes."""
    return await service.files.update(caller, vector_store_id, file_id, body)


@router.delete("/{vector_store_id}/files/{file_id}")
async def delete_vector_store_file(service: Service, caller: Writer, vector_store_id: str, file_id: str) -> Deleted:
    """Detach a file; the file itself stays."""
    return await service.files.detach(caller, vector_store_id, file_id)


@router.get("/{vector_store_id}/files/{file_id}/content")
async def retrieve_vector_store_file_content(
    service: Service,
    caller: Reader,
    vector_store_id: str,
    file_id: str,
    page: Annotated[int, Query(ge=0, le=2**31 - 1, description="The `next_page` of the page before.")] = 0,
) -> FileContentPage:
    """The passages that the file was cut into, in order."""
    return await service.files.content(caller, vector_store_id, file_id, page)


@router.post("/{vector_store_id}/file_batches")
async def create_file_batch(service: Service, caller: Writer, vector_store_id: str, body: FileBatchCreate) -> FileBatch:
    """Attach up to 2000 files at once."""
    return await service.files.create_batch(caller, vector_store_id, body)


@router.get("/{vector_store_id}/file_batches/{batch_id}")
async def retrieve_file_batch(service: Service, caller: Reader, vector_store_id: str, batch_id: str) -> FileBatch:
    """One batch, with the counts of its files by status."""
    return await service.files.retrieve_batch(caller, vector_store_id, batch_id)


@router.post("/{vector_store_id}/file_batches/{batch_id}/cancel")
async def cancel_file_batch(service: Service, caller: Writer, vector_store_id: str, batch_id: str) -> FileBatch:
    """Cancel the files of a batch that are not indexed yet."""
    return await service.files.cancel_batch(caller, vector_store_id, batch_id)


@router.get("/{vector_store_id}/file_batches/{batch_id}/files")
async def list_file_batch_files(
    service: Service,
    caller: Reader,
    vector_store_id: str,
    batch_id: str,
    params: Annotated[FileListParams, Query()],
) -> Page[VectorStoreFile]:
    """The files of a batch."""
    return await service.files.list_batch(caller, vector_store_id, batch_id, params)
