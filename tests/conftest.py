"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from autograder import batch
from autograder.errors import SandboxError
from autograder.sandbox.host import Sandbox
from autograder.sandbox.isolation import Level

SECRET = b"a secret for tests"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite tests/golden")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in a hook of its own, which would be earlier
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each file run on one core, but for the course's: what holds of a problem needs no neighbour."""
    for item in items:
        if item.path.stem != "test_course":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session")
def level() -> Level:
    """The strongest isolation that works here."""
    try:
        return batch.choose_level("auto", lambda level: Sandbox(level).close())[0]
    except SandboxError as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers() -> Iterator[None]:
    """End the warm sandboxes that tests started in this process."""
    yield
    batch.drop_sandboxes()
    assert not batch._sandboxes


@pytest.fixture(scope="session")
def strict() -> None:
    """Needs the strict level; CONVGRADE_REQUIRE_STRICT=1 turns its absence into a failure."""
    try:
        Sandbox("strict").close()
    except SandboxError as error:
        if os.environ.get("CONVGRADE_REQUIRE_STRICT") == "1":
            pytest.fail(str(error))
        pytest.skip(f"strict isolation does not work here: {error}")
