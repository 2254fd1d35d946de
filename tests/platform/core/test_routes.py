"""Rules that hold for every route, and the committed OpenAPI document."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from perijove_platform.app import create_app
from perijove_platform.openapi import DOCUMENT, document
from perijove_platform.rbac import SCOPES, scope_of
from perijove_platform.settings import Settings
from starlette.routing import BaseRoute

PUBLIC = {"/healthz"}


def api_routes(routes: list[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        else:
            # Included routers are kept whole by FastAPI since 0.160.
            included = getattr(route, "original_router", None)
            if isinstance(included, APIRouter):
                yield from api_routes(included.routes)


@pytest.fixture
def routes(tmp_path: Path) -> list[APIRoute]:
    return list(api_routes(create_app(Settings(data_dir=tmp_path)).routes))


def test_every_route_names_its_scope(routes: list[APIRoute]) -> None:
    assert len(routes) > 5
    nameless = [route.path for route in routes if not scope_of(route) and route.path not in PUBLIC]
    assert nameless == []
    assert {scope for route in routes for scope in scope_of(route)} <= SCOPES


def test_a_route_that_forgets_its_scope_is_noticed() -> None:
    router = APIRouter()

    @router.get("/v1/forgotten")
    async def forgotten() -> None:
        """Names no scope."""

    assert [scope_of(route) for route in api_routes(router.routes)] == [frozenset()]


def test_every_route_says_what_it_does(routes: list[APIRoute]) -> None:
    assert [route.path for route in routes if not route.description] == []


def test_the_committed_openapi_document_is_that_of_the_routes() -> None:
    assert DOCUMENT.read_text() == document(), "The routes changed: run `make openapi` and commit the result."
