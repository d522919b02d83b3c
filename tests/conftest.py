"""What holds for all tests."""

import pytest
from hypothesis import settings

settings.register_profile("moderate", deadline=None)  # a slow machine is no failure
settings.load_profile("moderate")


def pytest_addoption(parser: pytest.Parser) -> None:
    """What can be asked of a run besides."""
    parser.addoption(
        "--accept-pictures",
        action="store_true",
        help="store what the terminal UI shows as the pictures in tests/pictures",
    )
