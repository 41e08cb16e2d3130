"""Lets ``pytest autograder/graders/<problem>`` run a grader against the reference solution."""

import pytest

from autograder.grader import Plugin


def pytest_configure(config: pytest.Config) -> None:
    if not any(isinstance(plugin, Plugin) for plugin in config.pluginmanager.get_plugins()):
        config.pluginmanager.register(Plugin(), "convgrade")
