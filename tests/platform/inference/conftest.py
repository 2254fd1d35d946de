"""A gateway for each module of tests, and clients of it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from inference_gateway import Gateway, gateway_in
from openai import AsyncOpenAI


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway_in(tmp_path_factory.mktemp("gateway") / "data") as gateway:
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def openai_client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.base_url, headers=gateway.headers, timeout=60) as client:
        yield client
