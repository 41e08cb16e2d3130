"""The real sandbox, on every level that works here: apart, capped, repeatable, and honest about ends."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import tempfile
import time
from contextlib import closing
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder import datasets, protocol
from autograder.datasets import photos
from autograder.errors import (
    NotAttempted,
    SandboxError,
    StudentCrash,
    StudentError,
    StudentTimeout,
    Unreadable,
)
from autograder.runner import CPU
from autograder.sandbox import host, isolation
from autograder.sandbox.host import Interrupted, Job, Limits, Lost, Sandbox
from autograder.submission import MAX_REBUILDS, SandboxSubmission

SMALL = Limits(cpu_seconds=2, wall_seconds=20, memory_mb=192, disk_mb=4, processes=64)
HURRIED = replace(SMALL, cpu_seconds=0.2)
SECRET = "hunter2"


@pytest.fixture(scope="module", params=isolation.LEVELS)
def sandbox(request):
    """A warm sandbox of each level, started by a process whose environment holds a secret."""
    if request.param == "strict":
        request.getfixturevalue("strict")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVGRADE_TEST", SECRET)
        started = Sandbox(request.param)
    yield started
    started.close()


@pytest.fixture
def job(sandbox):
    """One submission's process."""
    with closing(sandbox.job(SMALL, seed=1)) as started:
        yield started


@pytest.fixture
def hurried(sandbox):
    """One submission's process, with little time for each cell and call."""
    with closing(sandbox.job(HURRIED, seed=1)) as started:
        yield started


@pytest.fixture(scope="module")
def walled(request, strict):
    """A warm sandbox of the strict level."""
    with Sandbox("strict") as started:
        yield started


def shown(job, source):
    """Run a cell that must succeed, and return what it wrote to its standard output."""
    run = job.run_cell(source, 0)
    assert run.ok, run.outputs
    return "".join(o["text"] for o in run.outputs if o.get("name") == "stdout")


def evaluated(job, expression):
    """Return the value of an expression of plain values in a job."""
    reply, arrays = read(job, expression)
    return protocol.decode(reply["value"], arrays)


def read(job, expression):
    assert job.run_cell(f"_answer = {expression}", 0).ok
    return job.read("_answer")


class TestCells:
    """A cell runs as it does in Jupyter, and what it shows arrives in order."""

    def test_what_a_cell_shows(self, job):
        run = job.run_cell(
            "import sys\nprint('one'); print('two', file=sys.stderr); print('three'); print('four')\n[5]", 0
        )
        assert run.ok
        assert not run.interrupted
        kinds = [(o["output_type"], o.get("name")) for o in run.outputs]
        assert kinds == [
            ("stream", "stdout"), ("stream", "stderr"), ("stream", "stdout"), ("execute_result", None),
        ]  # fmt: skip
        assert [o.get("text") for o in run.outputs] == ["one\n", "two\n", "three\nfour\n", None]
        assert run.outputs[3]["data"]["text/plain"] == "[5]"

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            ("1 / 0", "ZeroDivisionError"),
            ("def f(:", "SyntaxError"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise BaseException('x')", "BaseException"),
            ("import sys; sys.exit(3)", "SystemExit"),
            ("undefined", "NameError"),
            ("import torch_that_is_not_here", "ModuleNotFoundError"),
            ("input('name?')", "EOFError"),
        ],
    )  # fmt: skip
    def test_errors_cost_only_their_cell(self, job, source, name):
        """The names that were there before stay, and the next cell runs."""
        job.run_cell("kept = 7", 0)
        run = job.run_cell(source, 1)
        assert not run.ok
        (error,) = (o for o in run.outputs if o["output_type"] == "error")
        assert error["ename"] == name
        assert evaluated(job, "kept") == 7

    def test_rich_outputs(self, job):
        """What is displayed arrives as it would in Jupyter, a plot as a picture."""
        job.run_cell("from IPython.display import display, HTML\nimport matplotlib.pyplot as plt", 0)
        run = job.run_cell(
            "print('one'); display(HTML('<b>two</b>')); print('three')\nlines = plt.plot([1, 2])", 1
        )
        assert [o["output_type"] for o in run.outputs] == ["stream", "display_data", "stream", "display_data"]
        assert run.outputs[1]["data"]["text/html"] == "<b>two</b>"
        assert "image/png" in run.outputs[3]["data"]

    def test_magics(self, job):
        """What Jupyter adds to Python works, plots too."""
        assert job.run_cell("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);", 0).ok
        assert job.run_cell("%%capture quiet\nprint('x')", 1).ok
        assert evaluated(job, "quiet.stdout") == "x\n"

    def test_names_are_shared_between_cells_and_calls(self, job):
        job.run_cell(
            "count = 0\ndef add(n, *, twice=False):\n    global count\n    count += n * (1 + twice)", 0
        )
        job.call("add", (2,), {})
        job.call("add", (3,), {"twice": True})
        assert evaluated(job, "count") == 8


class TestOutputCaps:
    """A cell shows 1 MB, a notebook 4 MB, and a line says where something is missing."""

    CUT = "[The output was cut here: a cell may show 1 MB, a notebook 4 MB.]\n"

    @pytest.mark.parametrize(
        "source",
        ["print('x' * 3_000_000)", "for _ in range(30_000): print('x' * 99)"],
        ids=["one line", "many"],
    )
    def test_a_cell(self, job, source):
        text = shown(job, source)
        assert text.endswith(self.CUT)
        assert len(text) == 2**20 + len(self.CUT)
        assert shown(job, "print('next')") == "next\n"

    def test_a_notebook(self, job):
        sizes = [len(shown(job, "print('x' * 2_000_000)").removesuffix(self.CUT)) for _ in range(5)]
        assert sizes == [2**20] * 4 + [0]

    def test_a_cell_that_shows_nothing_is_not_cut(self, job):
        """Also where the notebook has shown all that it may."""
        for _ in range(5):
            job.run_cell("print('x' * 2_000_000)", 0)
        assert job.run_cell("quiet = 1", 1).outputs == []

    def test_a_large_display(self, job):
        """It is left out whole, and the line says so."""
        run = job.run_cell("from IPython.display import display, HTML\ndisplay(HTML('x' * 2_000_000))", 0)
        assert [o["text"] for o in run.outputs] == [self.CUT]

    def test_a_text_that_no_frame_holds(self, job):
        """It can't be read, and its process lives."""
        job.run_cell("def long():\n    return 'x' * 17 * 2**20", 0)
        reply, arrays = job.call("long", (), {})
        assert isinstance(protocol.decode(reply["value"], arrays), protocol.Opaque)
        assert evaluated(job, "1 + 1") == 2

    def test_calls_show_nothing(self, job):
        """They know hidden arguments."""
        job.run_cell("import sys\ndef tell(x):\n    print(x); print(x, file=sys.stderr)\n    return 1", 0)
        reply, _ = job.call("tell", (SECRET,), {})
        assert reply == {"is": "value", "value": 1, "id": reply["id"]}
        assert shown(job, "print('after')") == "after\n"


class TestCalls:
    """Values go in and out as plain values; whatever else happens is told as what it is."""

    def test_values(self, job):
        job.run_cell("import numpy as np\ndef twice(x, by=2):\n    return np.asarray(x) * by, {'by': by}", 0)
        reply, arrays = job.call("twice", (np.arange(3.0),), {"by": 3})
        array, named = protocol.decode(reply["value"], arrays)
        assert array.tolist() == [0, 3, 6]
        assert named == {"by": 3}

    def test_arguments_arrive_as_they_were_sent(self, job):
        job.run_cell("def kinds(*args):\n    return [type(a).__name__ for a in args]", 0)
        reply, arrays = job.call(
            "kinds", (1, 2.0, "a", (1,), [1], {"a": 1}, None, np.ones(2), np.int8(1)), {}
        )
        names = ["int", "float", "str", "tuple", "list", "dict", "NoneType", "ndarray", "int8"]
        assert protocol.decode(reply["value"], arrays) == names

    def test_exceptions_say_where_in_the_students_cells(self, job):
        job.run_cell("x = 1\n\ndef inner():\n    raise ValueError('too low')", 4)
        job.run_cell("def outer():\n    return inner()", 7)
        reply, _ = job.call("outer", (), {})
        assert reply["is"] == "exception"
        assert reply["kinds"][:3] == ["ValueError", "Exception", "BaseException"]
        assert reply["text"] == "too low"
        assert reply["places"] == [[7, 2], [4, 4]]

    @pytest.mark.parametrize(
        "body", ["raise SystemExit", "raise KeyboardInterrupt", "import sys; sys.exit()"]
    )
    def test_leaving_is_an_exception(self, job, body):
        """A student's `exit()` ends no process."""
        job.run_cell(f"def leave():\n    {body}", 0)
        assert job.call("leave", (), {})[0]["is"] == "exception"
        assert evaluated(job, "1 + 1") == 2

    def test_names_that_are_not_there(self, job):
        assert job.call("nobody", (), {})[0]["is"] == "missing"
        assert job.read("nobody")[0]["is"] == "missing"

    def test_what_has_no_plain_form(self, job):
        job.run_cell("def lazy():\n    yield 1", 0)
        reply, arrays = job.call("lazy", (), {})
        assert protocol.decode(reply["value"], arrays) == protocol.Opaque("generator")


class TestLimits:
    """What runs past its limit is stopped, and costs no more than it must."""

    def test_a_cell_is_interrupted(self, hurried):
        """Its process and the names in it stay."""
        run = hurried.run_cell("begun = True\nwhile True: pass", 0)
        assert (run.ok, run.interrupted) == (False, True)
        assert any(o.get("ename") == "KeyboardInterrupt" for o in run.outputs)
        assert evaluated(hurried, "begun") is True

    def test_a_call_is_interrupted(self, hurried):
        """The next call is answered as if nothing had been."""
        hurried.run_cell("def spin():\n    while True: pass\ndef right():\n    return 7", 0)
        for _ in range(2):
            with pytest.raises(Interrupted):
                hurried.call("spin", (), {})
            assert protocol.decode(hurried.call("right", (), {})[0]["value"], []) == 7

    @pytest.mark.parametrize("handler", ["signal.SIG_DFL", "lambda *_: os._exit(0)"])
    def test_an_interrupt_ends_the_process(self, hurried, handler):
        """It ran past its limit all the same: an interrupt can crash TensorFlow's training."""
        hurried.run_cell(
            "import os, signal\n"
            "def spin():\n"
            f"    signal.signal(signal.SIGINT, {handler})\n"
            "    while True: pass",
            0,
        )
        with pytest.raises(Lost) as lost:
            hurried.call("spin", (), {})
        assert lost.value.reason == "time"

    def test_the_text_of_an_exception_is_interrupted(self, hurried):
        """Making it is student code too."""
        endless = "class Endless(Exception):\n    def __str__(self):\n        while True: pass\n"
        hurried.run_cell(f"{endless}def fail():\n    raise Endless", 0)
        with pytest.raises(Interrupted):
            hurried.call("fail", (), {})
        assert evaluated(hurried, "1 + 1") == 2

    def test_a_call_with_a_limit_of_its_own(self, job):
        job.run_cell(
            "import time\ndef work(seconds):\n    while time.process_time() < seconds: pass\n    return 1", 0
        )
        used = evaluated(job, "time.process_time()")
        with pytest.raises(Interrupted):
            job.call("work", (used + 60,), {}, cpu_seconds=0.1)
        assert evaluated(job, "time.process_time()") - used < 60

    def test_waiting_counts_as_well(self, sandbox):
        """A cell that uses no processor time is stopped by the wall clock."""
        with closing(sandbox.job(Limits(cpu_seconds=5, wall_seconds=0.3), 0)) as job:
            run = job.run_cell("import time; time.sleep(600)", 0)
            assert (run.ok, run.interrupted) == (False, True)

    @pytest.fixture
    def clocks(self, monkeypatch):
        """The clocks that the watcher was asked to keep."""
        started, start = [], host._Clock.start
        monkeypatch.setattr(host._Clock, "start", lambda clock: started.append(clock) or start(clock))
        return started

    @pytest.mark.parametrize(
        ("call", "starts"), [("pass", 0), ("time.sleep(0.2)", 1), ("return np.zeros(10**6)", 0)]
    )
    def test_the_watcher_hears_of_slow_calls_alone(self, job, monkeypatch, clocks, call, starts):
        """What is answered at once wakes nobody."""
        job.run_cell(f"import time\nimport numpy as np\ndef work(): {call}", 0)
        monkeypatch.setattr(host, "_QUICK_SECONDS", 0.1 if starts else 60)
        clocks.clear()  # of the cell
        job.call("work", (), {})
        assert len(clocks) == starts

    def test_the_watcher_hears_of_large_calls_at_once(self, job, monkeypatch, clocks):
        """Sending them could take for ever."""
        job.run_cell("def work(x): pass", 0)
        monkeypatch.setattr(host, "_QUICK_SECONDS", 60)
        clocks.clear()  # of the cell
        job.call("work", (np.zeros(10**6),), {})
        assert len(clocks) == 1

    def test_a_reply_that_comes_drop_by_drop(self, hurried):
        """Bytes that keep coming are no reply: the clock runs all the same."""
        run = hurried.run_cell(
            "import socket, time\n"
            "def is_socket(number):\n"
            "    try: return bool(socket.socket(fileno=number).detach())\n"
            "    except OSError: return False\n"
            "(number,) = filter(is_socket, range(3, 256))\n"
            "channel = socket.socket(fileno=number)\n"
            "def drip():\n"
            "    channel.sendall((2**20).to_bytes(4, 'little'))\n"
            "    while True:\n"
            "        channel.sendall(b' ')\n"
            "        time.sleep(0.005)\n",
            0,
        )
        assert run.ok, run.outputs
        with pytest.raises(Lost):
            hurried.call("drip", (), {})

    def test_who_does_not_yield_is_ended(self, hurried):
        hurried.run_cell("import signal", 0)
        with pytest.raises(Lost) as lost:
            hurried.run_cell("signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", 1)
        assert lost.value.reason == "time"

    @pytest.mark.parametrize(
        ("source", "status"), [("os._exit(3)", 3), ("ctypes.string_at(0)", -signal.SIGSEGV)]
    )
    def test_a_process_that_ends_is_lost(self, job, source, status):
        """The status is told, and who asks again is told that there is nobody."""
        with pytest.raises(Lost) as lost:
            job.run_cell(f"import ctypes, os; {source}", 0)
        assert (lost.value.reason, lost.value.status) == ("exit", status)
        for _ in range(2):
            with pytest.raises(Lost, match="exit"):
                job.run_cell("1", 1)

    def test_memory(self, job):
        """More than there is makes a `MemoryError` like everywhere, and the process lives."""
        run = job.run_cell("large = bytearray(400 * 2**20)", 0)
        assert [o.get("ename") for o in run.outputs] == ["MemoryError"]
        assert evaluated(job, "len(bytearray(64 * 2**20))") == 64 * 2**20

    def test_disk(self, job):
        """No file grows past its limit, and the process lives."""
        run = job.run_cell(
            "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "with open('large', 'wb') as file:\n    file.write(bytes(5 * 2**20)); file.flush()",
            0,
        )
        assert run.outputs[-1]["ename"] == "OSError"
        assert evaluated(job, "__import__('os').path.getsize('large')") <= 4 * 2**20

    def test_memory_that_is_taken_while_nothing_is_asked(self, sandbox):
        """The limit of all processes together holds between two requests as well."""
        hoard = (
            "import os, threading, time\n"
            "def hoard():\n"
            "    time.sleep(0.3)\n"
            "    for _ in range(5):\n"
            "        if os.fork() == 0:\n"
            "            held = bytearray(b'x') * (60 * 2**20)\n"
            "            time.sleep(60)\n"
            "threading.Thread(target=hoard).start()"
        )

        def ask_now_and_then(job):
            for number in range(120):
                time.sleep(0.5)
                job.run_cell("1", number)  # too quick for its clock to start

        with closing(sandbox.job(SMALL, seed=1)) as job:
            assert job.run_cell(hoard, 0).ok
            with pytest.raises(Lost, match="memory"):
                ask_now_and_then(job)

    def test_garbage_is_collected(self, job):
        """Though nothing looks for it while the warm process imports what stays."""
        assert evaluated(job, "__import__('gc').isenabled()") is True

    def test_processor_time_of_children_counts(self, hurried):
        run = hurried.run_cell(
            "import os\nchild = os.fork()\nif child == 0:\n    while True: pass\nos.waitpid(child, 0)", 0
        )
        assert (run.ok, run.interrupted) == (False, True)


class TestApart:
    """Submissions meet neither each other nor what the host knows."""

    def test_nothing_is_shared_between_jobs(self, sandbox):
        """Names, modules, environment, files in the working folder: each has its own."""
        marks = (
            "import os, sys, builtins, numpy\nmark = builtins.mark = numpy.mark = sys.modules['mark'] = 1\n"
            "os.environ['mark'] = '1'\nopen('mark', 'w').close()"
        )
        found = (
            "import os, sys, builtins, numpy\nplaces = globals(), vars(builtins), vars(numpy), sys.modules,"
            " os.environ\nprint(*('mark' in place for place in places), os.listdir('.'))"
        )
        with closing(sandbox.job(SMALL, 1)) as before, closing(sandbox.job(SMALL, 1)) as during:
            assert before.run_cell(marks, 0).ok
            with closing(sandbox.job(SMALL, 1)) as after:
                clean = "False False False False False []\n"
                assert [shown(job, found) for job in (during, after)] == [clean, clean]
                assert shown(before, found) == "True True True True True ['mark']\n"

    def test_jobs_run_side_by_side(self, sandbox):
        """Frames of one never reach another."""
        with closing(sandbox.job(SMALL, 1)) as first, closing(sandbox.job(SMALL, 2)) as second:
            for job, name in ((first, "first"), (second, "second")):
                job.run_cell(f"name = {name!r}", 0)
            assert [evaluated(job, "name") for job in (first, second, first)] == ["first", "second", "first"]

    def test_the_end_of_one_job_is_not_that_of_another(self, sandbox):
        with closing(sandbox.job(SMALL, 1)) as first, closing(sandbox.job(SMALL, 1)) as second:
            second.run_cell("kept = 1", 0)
            with pytest.raises(Lost):
                first.run_cell("import os; os._exit(0)", 0)
            assert evaluated(second, "kept") == 1

    def test_environment(self, job, sandbox):
        """It holds what is listed, and nothing of whoever started the sandbox."""
        names = set(evaluated(job, "sorted(__import__('os').environ)"))
        library = {"LD_LIBRARY_PATH"} if sandbox.level == "strict" else set()
        assert names - {"PWD"} == set(isolation.environment("", CPU)) | library
        assert SECRET not in str(evaluated(job, "dict(__import__('os').environ)"))

    def test_the_same_python(self, job):
        """Student code runs under the version that the engine runs under, not the system's."""
        assert evaluated(job, "__import__('sys').version") == sys.version

    def test_nothing_of_the_engine_but_its_own_files(self, job):
        """Neither graders nor answers can be imported."""
        found = evaluated(
            job,
            "[n for n in ('grader', 'graders', 'answers', 'catalog', 'results', 'batch')"
            " if __import__('importlib.util').util.find_spec(f'autograder.{n}')]",
        )
        assert found == []
        assert evaluated(job, "__import__('autograder.protocol').__name__") == "autograder"

    def test_no_descriptor_of_the_host(self, job):
        """Of open files the process has its own channel and nothing else."""
        job.run_cell("import glob, os", 0)
        links = evaluated(job, "[os.readlink(n) for n in glob.glob('/proc/self/fd/*') if os.path.exists(n)]")
        assert sum(link.startswith("socket:") for link in links) == 1
        assert {link for link in links if not link.startswith("socket:")} <= {"/dev/null"}

    @pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
    def test_the_same_seed_gives_the_same_draws(self, sandbox, seed):
        """Python, numpy and the order of sets are the same in every process."""
        draws = "import random, numpy\nprint(random.random(), numpy.random.rand(), hash('x'), {*'abcdef'})"
        seen = []
        for number in (seed, seed, seed ^ 5):
            with closing(sandbox.job(SMALL, number)) as job:
                seen.append(shown(job, draws))
        assert seen[0] == seen[1]
        assert seen[0].split()[:2] != seen[2].split()[:2]
        assert seen[0].split()[2:] == seen[2].split()[2:]


class TestStrict:
    """Behind all walls student code is nobody, alone, and has nothing to write to but its own folders."""

    @pytest.fixture
    def inside(self, walled):
        with closing(walled.job(SMALL, seed=1)) as started:
            yield started

    def test_hidden_images_and_labels_cannot_be_read(self, inside):
        """The packages are there; the files that graders take hidden images and labels from are covered."""
        names = [datasets.MNIST, *(photograph.file for photograph in photos.PHOTOGRAPHS)]
        code = (
            "import glob\n"
            "def read(name):\n"
            "    (path,) = glob.glob('/site/*/' + name)\n"
            "    try:\n"
            "        return open(path, 'rb').read(1)\n"
            "    except OSError:\n"
            "        return b''\n"
            f"print([name for name in {names} if read(name)])"
        )
        assert shown(inside, code).strip() == "[]"

    def test_who_it_is(self, inside):
        """An ordinary user without any capability, who can't get more."""
        lines = shown(inside, "print(open('/proc/self/status').read())").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        expected = isolation.NOBODY if os.geteuid() == 0 else os.geteuid()
        assert {int(uid) for uid in status["Uid"].split()} == {expected}
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")

    def test_it_is_alone(self, inside):
        """It sees no process of the host, and no other submission by name."""
        assert evaluated(inside, "__import__('os').getpid()") < 10
        assert evaluated(inside, "__import__('socket').gethostname()") == "sandbox"

    def test_no_network(self, inside):
        """Neither a socket nor an interface but the loopback."""
        run = inside.run_cell("import socket\nsocket.socket()", 0)
        assert run.outputs[-1]["ename"] == "PermissionError"
        devices = evaluated(inside, "open('/proc/net/dev').read()").splitlines()[2:]
        assert {line.split(":")[0].strip() for line in devices} <= {"lo"}

    def test_what_it_sees_of_the_disk(self, inside):
        """The system's programs and Python, but no home, no temporary folder of the host, no repository."""
        root = set(evaluated(inside, "__import__('os').listdir('/')"))
        seen = "bin dev engine etc job lib lib32 lib64 libpython proc python sbin site tmp usr"
        assert root <= set(seen.split())
        libraries = evaluated(inside, "__import__('os').listdir('/libpython')")
        assert set(libraries) <= {sysconfig.get_config_var("INSTSONAME")}
        assert evaluated(inside, "[__import__('os').listdir(d) for d in ('/tmp', '/job', '/dev/shm')]") == [
            [],
            [],
            [],
        ]

    def test_where_it_may_write(self, inside):
        written = shown(
            inside,
            "import os\nfor folder in ('', '/usr', '/etc', '/engine', '/engine/autograder', '/site/0',"
            " '/python', '/dev', '/proc', '/tmp', '/dev/shm', '/job'):\n"
            "    try: open(f'{folder}/mark', 'w').close(); print(folder)\n    except OSError: pass",
        )
        assert written.split() == ["/tmp", "/dev/shm", "/job"]
        assert evaluated(inside, "os.getcwd()") == "/job"

    def test_its_folders_are_capped(self, inside):
        """Many small files fill no more than one large one."""
        run = inside.run_cell("for n in range(8):\n    open(str(n), 'wb').write(bytes(2**20))", 0)
        assert run.outputs[-1]["ename"] == "OSError"
        assert "No space left" in run.outputs[-1]["evalue"]

    def test_its_processes_are_counted(self, inside):
        fork = "import os, time\nfor _ in range(200):\n    if os.fork() == 0: time.sleep(60)"
        assert inside.run_cell(fork, 0).outputs[-1]["ename"] == "BlockingIOError"


def ask_for_seconds(job: Job) -> None:
    for _ in range(1000):
        job.run_cell("1", 0)
        time.sleep(0.01)


class TestStarting:
    """A sandbox either works or says why not, and leaves nothing behind."""

    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path, monkeypatch):
        """A folder for temporary files in which nothing else is."""
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        return folder

    @pytest.fixture(params=isolation.LEVELS)
    def each_level(self, request):
        if request.param == "strict":
            request.getfixturevalue("strict")
        return request.param

    @pytest.fixture
    def packages(self, tmp_path, monkeypatch):
        """One more folder that packages are imported from."""
        folder = tmp_path / "site-packages"
        folder.mkdir(mode=0o755)
        real = isolation.site_folders()
        monkeypatch.setattr(isolation, "site_folders", lambda: [*real, folder])
        return folder

    def test_starts_and_ends(self, each_level, temporary):
        """Closing ends its processes and its jobs' too; only the process level has a folder to remove."""
        with Sandbox(each_level) as sandbox:
            job = sandbox.job(SMALL, 0)
            assert sandbox.start_seconds > 0
            assert len(list(temporary.iterdir())) == (1 if each_level == "process" else 0)
        assert list(temporary.iterdir()) == []
        assert sandbox._process.returncode is not None
        with pytest.raises(Lost):
            ask_for_seconds(job)  # without namespaces the end takes a moment to reach a job's own process
        job.close()

    def test_like_another(self, each_level, temporary):
        """It is not waited for: its first job is."""
        with Sandbox(each_level) as working, Sandbox(each_level, like=working) as sandbox:
            job = sandbox.job(SMALL, 0)
            assert evaluated(job, "1 + 1") == 2
            job.close()
        assert sandbox._process.returncode == 0
        assert list(temporary.iterdir()) == []

    def test_like_another_that_does_not_start(self, each_level, temporary):
        broken = ("no_such_package",)
        with (
            Sandbox(each_level) as working,
            Sandbox(each_level, broken, like=working) as other,
            pytest.raises(SandboxError, match=r"could not start|is gone"),
        ):
            other.job(SMALL, 0)
        assert list(temporary.iterdir()) == []

    def test_closing_does_not_wait_for_imports(self, each_level, packages, temporary):
        (packages / "waits_at_import.py").write_text("import time\ntime.sleep(600)\n")
        with Sandbox(each_level) as working, Sandbox(each_level, ("waits_at_import",), like=working) as other:
            pass
        assert other._process.returncode == -signal.SIGKILL
        assert list(temporary.iterdir()) == []

    def test_a_warm_process_with_two_threads(self, each_level, packages, temporary):
        """It would fork into a process whose locks nobody ever opens, so it refuses."""
        (packages / "threads_at_import.py").write_text(
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        )
        with pytest.raises(SandboxError, match="more than one thread and cannot fork safely"):
            Sandbox(each_level, imports=("threads_at_import",))
        assert list(temporary.iterdir()) == []

    def test_an_import_that_fails(self, each_level, temporary):
        with pytest.raises(SandboxError, match="No module named 'no_such_package'"):
            Sandbox(each_level, imports=("no_such_package",))
        assert list(temporary.iterdir()) == []

    def test_an_import_that_ends_the_process(self, each_level, packages, temporary):
        (packages / "exits_at_import.py").write_text("import os\nos._exit(0)\n")
        with pytest.raises(SandboxError, match="ended without a word"):
            Sandbox(each_level, imports=("exits_at_import",))
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize(
        ("programs", "message"),
        [([], "there is no bubblewrap"), (["/bin/false", "/bin/false"], "/bin/false: .*; /bin/false: ")],
    )
    def test_without_a_bubblewrap_that_works(self, programs, message, monkeypatch, temporary):
        """Every program that was tried is named, and where to get advice."""
        monkeypatch.setattr(isolation, "find_bwrap", lambda: iter(programs))
        with pytest.raises(SandboxError, match=rf"can't start: {message}.*'convgrade doctor'"):
            Sandbox("strict")
        assert list(temporary.iterdir()) == []

    @pytest.mark.usefixtures("strict")
    def test_the_next_bubblewrap_is_tried(self, monkeypatch):
        """Where the system's own does not work, the bundled one may."""
        programs = ["/bin/false", *isolation.find_bwrap()]
        monkeypatch.setattr(isolation, "find_bwrap", lambda: iter(programs))
        with Sandbox("strict") as sandbox, closing(sandbox.job(SMALL, 0)) as job:
            assert evaluated(job, "1 + 1") == 2

    def test_walls_that_do_not_stand(self, sandbox):
        """Then nothing of the student's runs; the next job is not harmed."""
        with pytest.raises(SandboxError, match="could not start"):
            sandbox.job(Limits(total_cpu=None), 0)  # which no limit can be set to
        with closing(sandbox.job(SMALL, 0)) as job:
            assert evaluated(job, "1 + 1") == 2

    @pytest.mark.usefixtures("strict")
    def test_a_bubblewrap_that_is_not_there(self, monkeypatch):
        """A program that can't even be started is one more that does not work."""
        programs = ["/no/such/bwrap", *isolation.find_bwrap()]
        monkeypatch.setattr(isolation, "find_bwrap", lambda: iter(programs[:1]))
        with pytest.raises(SandboxError, match=r"/no/such/bwrap: .*'convgrade doctor'"):
            Sandbox("strict")

    def test_a_job_of_a_closed_sandbox(self, each_level):
        sandbox = Sandbox(each_level)
        sandbox.close()
        with pytest.raises(SandboxError, match="The warm process is gone; run the command again"):
            sandbox.job(SMALL, 0)

    def test_the_end_of_a_job(self, sandbox):
        """It can be closed twice, and asked no more."""
        job = sandbox.job(SMALL, 0)
        job.run_cell("1", 0)
        report = job.close()
        assert report["end"] == "ended"
        assert job.close() == report
        for ask in (lambda: job.run_cell("1", 0), lambda: job.call("f", (), {}), lambda: job.read("x")):
            with pytest.raises(Lost):
                ask()

    def test_the_time_that_students_use_is_counted(self, sandbox):
        with closing(sandbox.job(SMALL, 0)) as job:
            assert job.student_seconds == 0
            job.run_cell("1", 0)
            assert job.student_seconds > 0


def question_cell(name, source):
    """Return a solution cell as the released notebook has it."""
    return new_code_cell(source, metadata={"nbgrader": {"grade_id": name, "solution": True, "locked": False}})


def locked_cell(source, *, grade=False, tags=()):
    grading = {"grade_id": "locked", "locked": True, "grade": grade, "solution": False}
    return new_code_cell(source, metadata={"nbgrader": grading, "tags": list(tags)})


@pytest.fixture
def submit(sandbox):
    """Executes a notebook of these cells as one student's submission."""
    submissions = []

    def submit(*cells, untouched=(), limits=SMALL, execute=True):
        made = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
        submission = SandboxSubmission(
            student="ada", sandbox=sandbox, notebook=new_notebook(cells=made),
            untouched=frozenset(untouched), limits=limits, seed=1,
        )  # fmt: skip
        submissions.append(submission)
        if execute:
            submission.execute()
        return submission

    yield submit
    for submission in submissions:
        submission.close()


class TestSubmission:
    """A grader calls a student's functions by their names."""

    def test_calls_and_values(self, submit):
        submission = submit("factor = 3", "def scaled(x, by=1):\n    return x * by * factor")
        assert submission.scaled(2, by=5) == 30
        assert submission.value("factor") == 3
        assert [(call.name, call.args, call.kwargs, call.value) for call in submission.calls] == [
            ("scaled", (2,), {"by": 5}, 30)
        ]
        assert submission.seconds > 0

    def test_a_call_starts_what_was_not_executed(self, submit):
        submission = submit("def one():\n    return 1", execute=False)
        assert submission.one() == 1

    def test_which_cells_run(self, submit):
        """All code but the course's own tests, trainings and pictures; a student's tag skips nothing."""
        submission = submit(
            "ran = []",
            new_markdown_cell("ran.append('prose')"),
            locked_cell("ran.append('provided')"),
            locked_cell("ran.append('test')", grade=True),
            locked_cell("ran.append('train')", tags=["train"]),
            locked_cell("ran.append('picture')", tags=["picture"]),
            new_code_cell("ran.append('tagged by the student')", metadata={"tags": ["train"]}),
        )
        assert submission.value("ran") == ["provided", "tagged by the student"]

    def test_outputs_are_filled_in(self, submit):
        submission = submit("print('one')\n2", "1 / 0", new_markdown_cell("text"))
        first, second, _ = submission.notebook.cells
        assert [o.output_type for o in first.outputs] == ["stream", "display_data"]
        assert second.outputs[0].ename == "ZeroDivisionError"
        assert (first.execution_count, second.execution_count) == (1, 2)
        nbformat.validate(submission.notebook)

    @pytest.mark.parametrize(
        ("source", "error", "message"),
        [
            ("other = 1", NotAttempted, "There is no `area` in the notebook."),
            ("def area():\n    raise NotImplementedError()", NotAttempted, "`area` is not written yet."),
            ("1 / 0\ndef area(): ...", StudentError, "The cell of `area` stopped with ZeroDivisionError"),
            ("def area():\n    return 1 / 0", StudentError,
             "`area` raised ZeroDivisionError: division by zero in line 2: `return 1 / 0`"),
            ("def area(x):\n    return x", StudentError, "missing"),
            ("area = 7", StudentError, "'int' object is not callable"),
            ("def area():\n    yield 1", Unreadable, "a value of type generator that can't be read"),
            ("def area():\n    return [1, {'a': (object(),)}]", Unreadable, "of type object"),
            ("while True: pass\ndef area(): ...", StudentTimeout, "This cell was stopped: it used more"),
            ("def area():\n    while True: pass", StudentTimeout, "`area` was stopped: it used more"),
            ("import os; os._exit(0)\ndef area(): ...", StudentCrash, "This cell ended the notebook's"),
            ("import os\ndef area():\n    os._exit(0)", StudentCrash, "`area` ended the notebook's process"),
        ],
    )  # fmt: skip
    def test_what_a_call_may_meet(self, submit, source, error, message):
        """The reason is told in words for the student, and kept with the call."""
        submission = submit(question_cell("area", source), limits=HURRIED)
        with pytest.raises(error) as raised:
            submission.area()
        assert message in str(raised.value)
        assert submission.calls[-1].error is raised.value

    @pytest.mark.parametrize(
        ("suffix", "told"), [("", "type Box that"), (7919, "type Box that"), ("es", "type of your own that")]
    )  # fmt: skip
    def test_the_name_of_a_type_tells_nothing(self, submit, suffix, told):
        """A student's function knows hidden arguments, and may name a class after them."""
        submission = submit("def box(suffix):\n    return type(f'Box{suffix}', (), {})()")
        with pytest.raises(Unreadable, match=f"`box` gave .*{told} can't be read"):
            submission.box(suffix)

    @pytest.mark.parametrize("before", ["", "\n", "\n  \n\t\n"])
    def test_the_line_is_counted_as_the_student_sees_it(self, submit, before):
        """IPython leaves out the blank lines that a cell begins with; an editor shows them."""
        submission = submit(f"{before}def area():\n    return 1 / 0")
        with pytest.raises(StudentError, match=rf"in line {before.count(chr(10)) + 2}: `return 1 / 0`"):
            submission.area()

    def test_text_that_no_file_holds(self, submit):
        """Half a surrogate pair, printed or raised, spoils neither the notebook nor the feedback."""
        submission = submit(
            "print('a\\ud800b')\n'\\ud800'", question_cell("area", "raise ValueError('\\ud800')")
        )
        nbformat.writes(submission.notebook).encode()
        assert submission.notebook.cells[0].outputs[0].text == "a?b\n"
        with pytest.raises(StudentError) as raised:
            submission.area()
        str(raised.value).encode()

    def test_an_untouched_body(self, submit):
        """It is "not attempted" unless another cell defines the function."""
        submission = submit(question_cell("area", "def area(): ..."), untouched=["area"])
        with pytest.raises(NotAttempted, match="`area` is still as it was handed out"):
            submission.area()
        submission = submit(
            question_cell("area", "def area(): ..."), "def area():\n    return 4", untouched=["area"]
        )
        assert submission.area() == 4

    def test_the_kinds_of_an_exception(self, submit):
        submission = submit("class Odd(ValueError): ...\ndef area():\n    raise Odd('no')")
        with pytest.raises(StudentError, match="raised ValueError: no") as raised:
            submission.area()
        assert raised.value.kinds[:2] == ("Odd", "ValueError")

    def test_limited_is_for_its_own_calls(self, submit):
        """Afterwards the usual limit holds, whatever happened."""
        spin = "def spin():\n    while True: pass\ndef one():\n    return 1"
        submission = submit(spin, limits=Limits(cpu_seconds=60, wall_seconds=60))
        limited = submission.limited(0.2)
        with pytest.raises(StudentTimeout, match=r"more than 0\.2 seconds"):
            limited.spin()
        assert submission.cpu_limit is None
        assert limited.one() == 1
        with pytest.raises(NotAttempted):
            limited.missing()
        assert submission.cpu_limit is None
        submission.cpu_limit = 30
        assert limited.one() == 1
        assert submission.cpu_limit == 30
        assert [call.name for call in submission.calls] == ["spin", "one", "missing", "one"]


class TestRebuilding:
    """A hang or crash costs its own question: the state is rebuilt for the next."""

    def test_after_a_call_that_ends_the_process(self, submit):
        submission = submit(
            "import os\ncount = 1", "def leave():\n    os._exit(0)\ndef right():\n    return count"
        )
        with pytest.raises(StudentCrash):
            submission.leave()
        assert submission.right() == 1

    def test_without_the_cell_that_ended_it(self, submit):
        """The other cells run again, it does not, and what they showed is not shown twice."""
        submission = submit(
            "print('first')\nruns = 1",
            "import os\nos._exit(0)",
            "print('last')\ndef right():\n    return runs",
        )
        assert submission.right() == 1
        texts = [
            "".join(o.get("text", o.get("evalue", "")) for o in cell.outputs)
            for cell in submission.notebook.cells
        ]
        assert texts == ["first\n", "This cell ended the notebook's process.", "last\n"]
        assert submission.stopped() == ["Code cell 2: This cell ended the notebook's process."]

    def test_cells_that_were_interrupted_are_not_run_again(self, submit):
        submission = submit(
            "while True: pass",
            "import os\ndef leave():\n    os._exit(0)\ndef right():\n    return 1",
            limits=HURRIED,
        )
        with pytest.raises(StudentCrash):
            submission.leave()
        assert submission.right() == 1
        assert len(submission.stopped()) == 1

    def test_at_most_so_often(self, submit):
        """Whoever ends it again and again is not asked any more."""
        submission = submit("import os\ndef leave():\n    os._exit(0)\ndef right():\n    return 1")
        for _ in range(1 + MAX_REBUILDS):
            with pytest.raises(StudentCrash, match="`leave` ended the notebook's process"):
                submission.leave()
        for ask in (submission.leave, submission.right, lambda: submission.value("os")):
            with pytest.raises(
                StudentCrash, match=f"was stopped {1 + MAX_REBUILDS} times, so the rest was not run"
            ):
                ask()

    def test_cells_that_each_end_it(self, submit):
        """As many cells as there are rebuilds may go wrong."""
        ends = "import os; os._exit(0)"
        submission = submit(*[ends] * MAX_REBUILDS, "def right():\n    return 1")
        assert submission.right() == 1
        submission = submit(*[ends] * (MAX_REBUILDS + 1), "def right():\n    return 1")
        with pytest.raises(StudentCrash, match=f"{1 + MAX_REBUILDS} times"):
            submission.right()

    def test_time_of_the_whole_notebook(self, submit):
        """When it is used up, no more cells and no more calls."""
        submission = submit("one = 1", "two = 2", limits=Limits(total_wall=0))
        assert submission.stopped()[0].startswith(
            "Code cell 2: The notebook as a whole ran for more than 0 seconds"
        )
        with pytest.raises(StudentTimeout, match="as a whole"):
            submission.value("one")

    def test_a_lost_sandbox_is_not_the_students(self, submit, monkeypatch):
        """Where no process can be started, the submission could not be checked."""
        submission = submit("one = 1", execute=False)

        def lost(limits, seed):
            raise SandboxError("The warm process is gone; run the command again.")

        monkeypatch.setattr(submission, "sandbox", type("Gone", (), {"job": staticmethod(lost)})())
        with pytest.raises(SandboxError, match="is gone"):
            submission.execute()


class TestFrames:
    """A process that sends what nobody asked for is ended, and its words are not believed."""

    TALK = (
        "import json, os, socket, struct\n"
        "numbers = [int(n) for n in os.listdir('/proc/self/fd') if n.isdigit()]\n"
        "def is_socket(n):\n    try: return os.readlink(f'/proc/self/fd/{n}').startswith('socket:')\n"
        "    except OSError: return False\n"
        "channel = socket.socket(fileno=os.dup(next(n for n in numbers if is_socket(n))))\n"
        "def say(data):\n    channel.sendall(data)\n"
        "def frame(message):\n"
        "    text = json.dumps(message | {'arrays': []}).encode()\n"
        "    say(struct.pack('<I', len(text)) + text)\n"
    )

    @pytest.mark.parametrize(
        "source",
        [
            "frame({'is': 'value', 'id': 999, 'value': 1})",
            "frame({})",
            "say(b'\\xff' * 64)",
        ],
    )
    def test_a_wrong_frame_loses_the_process(self, job, source):
        assert job.run_cell(self.TALK, 0).ok
        with pytest.raises(Lost) as lost:
            job.run_cell(source, 1)
        assert lost.value.reason == "protocol"

    def test_odd_outputs_are_dropped(self, job):
        """An output that is no dict is none."""
        job.run_cell(self.TALK, 0)
        run = job.run_cell("frame({'is': 'output', 'output': [1]}); frame({'is': 'output'}); print('x')", 1)
        assert [o["text"] for o in run.outputs] == ["x\n"]
