"""Fixtures that several test files share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from autograder import batch
from autograder.errors import SandboxError
from autograder.sandbox.host import Sandbox
from autograder.sandbox.isolation import Level

SECRET = b"a secret for tests"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite tests/golden")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let each file run on one core, but for the course's: what holds of a problem needs no neighbour.

    The groups of ``--dist loadgroup`` would say the same; pytest-xdist 3.8 forgets them under pytest 9.2.
    """

    class FileByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file.endswith("test_course.py") else file

    return FileByFile(config, log)


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
