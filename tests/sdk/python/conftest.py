import os

import anthropic
import openai
import pytest

from gateway import Gateway, running_tollgate, scripted_provider

# The SDKs read settings from here; nothing of the machine may change what they do.
for variable in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
    del os.environ[variable]

TIMEOUT_SECONDS = 30


@pytest.fixture(scope="session")
def gateway():
    with scripted_provider() as (url, requests), running_tollgate() as bootstrap:
        yield Gateway(bootstrap, url, requests)


@pytest.fixture(scope="session")
def openai_client(gateway):
    """Makes a client; without retries of its own, so that only Tollgate's are seen."""

    def make(key=None, max_retries=0):
        return openai.OpenAI(
            base_url=f"{gateway.url}/v1",
            api_key=key or gateway.key,
            max_retries=max_retries,
            timeout=TIMEOUT_SECONDS,
        )

    return make


@pytest.fixture(scope="session")
def anthropic_client(gateway):
    def make(key=None, max_retries=0):
        return anthropic.Anthropic(
            base_url=gateway.url, api_key=key or gateway.key, max_retries=max_retries, timeout=TIMEOUT_SECONDS
        )

    return make
