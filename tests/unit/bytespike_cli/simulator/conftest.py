"""A running simulator, the official SDK on it and its control API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import types

from bytespike_cli.simulator.command import serving
from tests.support.simulator import SimulatorClient


@pytest.fixture(scope="session")
async def simulator_url() -> AsyncIterator[str]:
    async with serving("127.0.0.1", 0) as url:
        yield url


@pytest.fixture
async def simulator(simulator_url: str) -> AsyncIterator[SimulatorClient]:
    async with SimulatorClient(simulator_url) as client:
        await client.reset()
        yield client


@pytest.fixture
async def sdk(simulator_url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=simulator_url, api_key="sk-sim-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def http(simulator_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"x-api-key": "sk-sim-test", "anthropic-version": "2023-06-01"}
    async with aiohttp.ClientSession(base_url=simulator_url, headers=headers) as session:
        yield session


@pytest.fixture
async def openai_sdk(simulator_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{simulator_url}/v1", api_key="sk-sim-test", max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def openai_http(simulator_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"authorization": "Bearer sk-sim-test"}
    async with aiohttp.ClientSession(base_url=simulator_url, headers=headers) as session:
        yield session


@pytest.fixture
async def gemini_sdk(simulator_url: str) -> AsyncIterator[genai.client.AsyncClient]:
    # Left to itself the SDK takes aiohttp in a way that aiohttp warns of.
    async with httpx2.AsyncClient() as wire:
        options = types.HttpOptions(base_url=simulator_url, httpx_async_client=wire)
        with genai.Client(api_key="sim-test", http_options=options) as client:
            yield client.aio


@pytest.fixture
async def gemini_http(simulator_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"x-goog-api-key": "sim-test"}
    async with aiohttp.ClientSession(base_url=simulator_url, headers=headers) as session:
        yield session
