"""Results are kept as JSON of one shape, and a file is either whole or not there."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from autograder import results
from autograder.errors import ConvGradeError
from autograder.results import CheckResult, QuestionResult, Result, read_result, write_atomically

CONTRACT = {
    "schema": 1,
    "course": "cnn-101",
    "student": "ada",
    "problem": "iou",
    "status": "graded",
    "score": 11.0,
    "max_score": 13.0,
    "questions": [
        {
            "question": "iou",
            "outcome": "partial",
            "points": 1.0,
            "max_points": 2.0,
            "feedback": ["Boxes that only touch share no area: …"],
            "slips": ["touching_boxes"],
            "checks": [
                {"label": "boxes apart give 0", "outcome": "passed", "points": 1.0, "max_points": 1.0}
            ],
        }
    ],
    "notes": ["The cell test-iou was missing and was restored."],
    "isolation": "strict",
    "seed": 123,
    "submission_sha256": "abc",
    "grader_sha256": "def",
    "seconds": {"total": 0.4, "student": 0.1},
    "versions": {"convgrade": "0.1.0", "tensorflow": "2.21"},
}


@pytest.fixture
def result():
    return Result(
        course="cnn-101",
        student="ada",
        problem="iou",
        status="graded",
        score=11.0,
        max_score=13.0,
        questions=[
            QuestionResult(
                "iou", "partial", 1.0, 2.0, ["Boxes that only touch share no area: …"], ["touching_boxes"],
                [CheckResult("boxes apart give 0", "passed", 1.0, 1.0)],
            )
        ],
        notes=["The cell test-iou was missing and was restored."],
        isolation="strict",
        seed=123,
        submission_sha256="abc",
        grader_sha256="def",
        seconds={"total": 0.4, "student": 0.1},
        versions={"convgrade": "0.1.0", "tensorflow": "2.21"},
    )  # fmt: skip


class TestJson:
    """Other programs read these files: every field has its name, its place and its type."""

    def test_the_contract(self, result):
        """Field for field, in this order."""
        assert json.dumps(result.to_json()) == json.dumps(CONTRACT)

    def test_the_file(self, result, tmp_path):
        """One file a submission, readable by people too: its name, its text, its permissions."""
        path = result.write(tmp_path)
        assert path == tmp_path / "ada" / "iou.json"
        assert json.loads(path.read_text(encoding="utf-8")) == CONTRACT
        assert "share no area: …" in path.read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8").endswith("}\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        assert [p.name for p in path.parent.iterdir()] == ["iou.json"]

    def test_there_and_back(self, result, tmp_path):
        result.write(tmp_path)
        assert Result.from_json(CONTRACT) == result
        assert read_result(tmp_path, "ada", "iou") == result

    def test_what_could_not_be_checked_has_no_score(self):
        empty = Result("c", "ada", "iou", "could_not_check", None, 13.0)
        assert empty.to_json()["score"] is None
        assert Result.from_json(empty.to_json()) == empty

    def test_a_second_writing_replaces_the_first(self, result, tmp_path):
        result.write(tmp_path)
        result.score = 12.0
        result.write(tmp_path)
        found = read_result(tmp_path, "ada", "iou")
        assert found is not None
        assert found.score == 12.0

    @pytest.mark.parametrize(
        "broken",
        [
            None,
            [],
            "graded",
            {},
            CONTRACT | {"schema": 2},
            {k: v for k, v in CONTRACT.items() if k != "schema"},
            {k: v for k, v in CONTRACT.items() if k != "questions"},
            {k: v for k, v in CONTRACT.items() if k != "score"},
            CONTRACT | {"grade": 11.0},
            CONTRACT | {"questions": None},
            CONTRACT | {"questions": ["iou"]},
            CONTRACT | {"questions": [{"question": "iou"}]},
            CONTRACT | {"questions": [{**CONTRACT["questions"][0], "checks": [{"label": "a"}]}]},
            CONTRACT | {"questions": [{**CONTRACT["questions"][0], "checks": 1}]},
        ],
    )
    def test_other_json_is_refused(self, broken, tmp_path):
        """A file of another version, or a damaged one, counts as none: its submission is graded again."""
        with pytest.raises(ValueError, match="not a result"):
            Result.from_json(broken)
        write_atomically(tmp_path / "ada" / "iou.json", json.dumps(broken))
        assert read_result(tmp_path, "ada", "iou") is None

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", json.dumps(CONTRACT).encode()[:-20]])
    def test_other_bytes_are_refused(self, content, tmp_path):
        (tmp_path / "iou.json").write_bytes(content)
        assert read_result(tmp_path.parent, tmp_path.name, "iou") is None

    def test_nothing_there(self, tmp_path):
        assert read_result(tmp_path, "ada", "iou") is None
        (tmp_path / "ada" / "iou.json").mkdir(parents=True)
        assert read_result(tmp_path, "ada", "iou") is None


class TestAtomicWriting:
    """Whoever reads a file meets the old one or the new one, and nothing is left behind."""

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "folder" / "iou.json"
        write_atomically(path, "old")
        return path

    @staticmethod
    def alone(path):
        return [p.name for p in path.parent.iterdir()] == [path.name]

    @pytest.mark.parametrize("call", ["fsync", "fdopen"])
    def test_a_full_disk(self, path, monkeypatch, call):
        """The message says so, and the old file is as it was."""

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(results.os, call, full)
        with pytest.raises(ConvGradeError, match=r"Could not write .*iou\.json: No space left .* again"):
            write_atomically(path, "new")
        assert path.read_text() == "old"
        assert self.alone(path)

    def test_a_disk_that_fills_up_half_way(self, path, monkeypatch):
        """Some bytes were written when the space ran out; no reader ever meets them."""
        real = os.fdopen

        def limited(*args, **kwargs):
            file = real(*args, **kwargs)

            def write(text):
                type(file).write(file, text[:2])
                file.flush()
                assert path.read_text() == "old"
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            return _Overridden(file, write)

        monkeypatch.setattr(results.os, "fdopen", limited)
        with pytest.raises(ConvGradeError, match="No space left"):
            write_atomically(path, "new")
        assert path.read_text() == "old"
        assert self.alone(path)

    def test_a_folder_that_may_not_be_written(self, path, monkeypatch):
        def forbidden(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(results.tempfile, "mkstemp", forbidden)
        with pytest.raises(ConvGradeError, match=r"Permission denied\. Free some space or fix"):
            write_atomically(path, "new")
        assert path.read_text() == "old"

    def test_a_place_that_is_taken(self, tmp_path):
        """A file where a folder must be, or a folder where the file must be."""
        (tmp_path / "file").write_text("")
        with pytest.raises(ConvGradeError, match="Could not write"):
            write_atomically(tmp_path / "file" / "iou.json", "new")
        (tmp_path / "iou.json" / "inner").mkdir(parents=True)
        with pytest.raises(ConvGradeError, match="Could not write"):
            write_atomically(tmp_path / "iou.json", "new")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "iou.json"]

    def test_an_interruption(self, path, monkeypatch):
        """Ctrl-C while writing leaves no temporary file."""

        def interrupted(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(results.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, "new")
        assert path.read_text() == "old"
        assert self.alone(path)

    def test_the_text_is_on_disk_before_it_has_its_name(self, path, monkeypatch):
        """So a machine that loses power keeps the old file or the whole new one."""
        synced = []

        def fsync(descriptor):
            synced.append(os.fstat(descriptor).st_size)
            assert path.read_text() == "old"

        monkeypatch.setattr(results.os, "fsync", fsync)
        write_atomically(path, "new text")
        assert synced == [8]
        assert path.read_text() == "new text"
        assert self.alone(path)

    def test_text_that_utf8_cannot_hold(self, tmp_path):
        """Half a surrogate pair, which a student may print, is written as JSON escapes it."""
        text = json.dumps({"shown": "a\ud800b…"}, ensure_ascii=False)
        write_atomically(tmp_path / "shown.json", text)
        assert json.loads((tmp_path / "shown.json").read_text(encoding="utf-8")) == {"shown": "a\ud800b…"}

    def test_a_long_way_to_go(self, tmp_path):
        """Folders on the way are made."""
        path = tmp_path / "a" / "b" / "c.json"
        write_atomically(path, "x")
        assert path.read_text() == "x"


class _Overridden:
    """A file that writes in its own way."""

    def __init__(self, file, write):
        self.file, self.write = file, write

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_outcomes_are_those_of_the_contract():
    """The JSON speaks of these outcomes and statuses, and of no others."""
    assert set(results.Outcome.__args__) == {
        "passed", "partial", "failed", "not_attempted", "error", "timeout", "crashed", "could_not_check",
        "needs_review",
    }  # fmt: skip
    assert set(results.Status.__args__) == {"graded", "unreadable", "could_not_check"}


def test_the_temporary_name_is_hidden_and_beside_the_file(tmp_path, monkeypatch):
    """Renaming is only atomic within one folder, and what globs for results must not find it."""
    seen = []
    monkeypatch.setattr(results.os, "fsync", lambda _: seen.extend(tmp_path.iterdir()))
    write_atomically(tmp_path / "iou.json", "x")
    (temporary,) = seen
    assert isinstance(temporary, Path)
    assert temporary.name.startswith(".")
    assert temporary.suffix != ".json"
