"""`/v1/models`. An id may hold slashes, so the routes below one come before the routes of the model itself."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from perijove_platform.models.schemas import AliasCreate, Model, ModelCreate, ModelListParams
from perijove_platform.models.service import ModelsService
from perijove_platform.pagination import Page
from perijove_platform.rbac import Caller, requires
from perijove_platform.schemas import Deleted

router = APIRouter(tags=["models"])


def _service(request: Request) -> ModelsService:
    service: ModelsService = request.app.state.models
    return service


Service = Annotated[ModelsService, Depends(_service)]
Reader = Annotated[Caller, requires("models.read")]
Writer = Annotated[Caller, requires("models.write")]


@router.get("/v1/models")
async def list_models(service: Service, caller: Reader, params: Annotated[ModelListParams, Query()]) -> Page[Model]:
    """The project's models."""
    return await service.list_models(caller, params)


@router.post("/v1/models", status_code=202)
async def create_model(service: Service, caller: Writer, body: ModelCreate) -> Model:
    """Register a GGUF file or folder by its path, or begin to pull one from the hub."""
    return await service.create(caller, body)


@router.post("/v1/models/{model:path}/load", status_code=202)
async def load_model(service: Service, caller: Writer, model: str) -> Model:
    """Begin to load the model; requests would do so by themselves."""
    return await service.load(caller, model)


@router.post("/v1/models/{model:path}/unload", status_code=202)
async def unload_model(service: Service, caller: Writer, model: str) -> Model:
    """Free the model's memory when the requests on it are done."""
    return await service.unload(caller, model)


@router.post("/v1/models/{model:path}/cancel")
async def cancel_model_pull(service: Service, caller: Writer, model: str) -> Model:
    """Stop a pull and delete what it fetched."""
    return await service.cancel_pull(caller, model)


@router.post("/v1/models/{model:path}/aliases", status_code=201)
async def create_model_alias(service: Service, caller: Writer, model: str, body: AliasCreate) -> Model:
    """Give the model a further name."""
    return await service.add_alias(caller, model, body)


@router.delete("/v1/models/{model:path}/aliases/{alias}")
async def delete_model_alias(service: Service, caller: Writer, model: str, alias: str) -> Model:
    """Take a further name away."""
    return await service.delete_alias(caller, model, alias)


@router.get("/v1/models/{model:path}")
async def get_model(service: Service, caller: Reader, model: str) -> Model:
    """One model, by its id or an alias."""
    return await service.get(caller, model)


@router.delete("/v1/models/{model:path}")
async def delete_model(service: Service, caller: Writer, model: str) -> Deleted:
    """Delete a model. Files that the platform neither fetched nor made are left where they are."""
    return await service.delete(caller, model)
