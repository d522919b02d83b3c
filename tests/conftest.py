"""What holds for all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from home import Home, make_home
from hypothesis import settings
from openai_server import OpenAIServer

settings.register_profile("moderate", deadline=None)  # a slow machine is no failure
settings.load_profile("moderate")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be asked of a run besides."""
    parser.addoption(
        "--accept-pictures",
        action="store_true",
        help="store what the terminal UI shows as the pictures in tests/pictures",
    )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty vault."""
    return make_home(tmp_path)


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server that speaks the OpenAI protocol, on this machine."""
    with OpenAIServer() as running:
        yield running
