"""The audit finds what is wrong with a grader, and finds nothing wrong with those of the course."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import audit, catalog, grader, programs, specimen
from autograder.audit import Rate, Tally
from autograder.programs import Program
from autograder.sandbox.isolation import Level

IOU = catalog.problem("iou")
LIGHT = [p for p in catalog.problems() if "tensorflow" not in grader.needs(p.name).imports]
MUTANTS = 2
"""Of each question in the short audit, beside its reference in every style."""


def program(kind: programs.Kind, source: str, question: str = "iou", name: str = "") -> Program:
    return Program("iou", question, kind, name or kind, source)


def short(problem: catalog.Problem) -> list[Program]:
    """Return the part of a problem's programs that no other test of the course judges."""
    found = programs.of_problem(problem, alternatives=False)
    return audit.chosen((p for p in found if p.kind in ("restyled", "visible", "mutant")), MUTANTS)


@pytest.mark.parametrize("problem", LIGHT, ids=lambda problem: problem.name)
def test_a_short_audit_finds_no_fault(problem: catalog.Problem, level: Level) -> None:
    """Styles keep every point, mutants and learnt answers lose some, and named mistakes are told."""
    judgements = [audit.judge(found, level) for found in short(problem)]
    assert [audit.account(*fault) for fault in audit.faults(judgements)] == []
    assert {j.program.kind for j in judgements} >= {"restyled", "mutant"}


@pytest.mark.long
@pytest.mark.parametrize("problem", catalog.problems(), ids=lambda problem: problem.name)
def test_a_whole_audit_finds_no_fault(problem: catalog.Problem, level: Level) -> None:
    """Every program of every kind is judged as it should be."""
    judgements = audit.audit(audit.Wanted([problem]), level, jobs=2)
    assert [audit.account(*fault) for fault in audit.faults(judgements)] == []


class TestJudging:
    REFERENCE = specimen.reference(IOU)["iou"]

    def test_a_wrong_program_that_passes_is_a_false_accept(self, level: Level) -> None:
        """What is handed in as wrong and gets full marks is the grader's fault."""
        judgement = audit.judge(program("constant", self.REFERENCE), level)
        assert judgement.false_accept
        assert [word for word, _ in audit.faults([judgement])] == ["false accept"]

    def test_a_right_program_that_fails_is_a_false_reject(self, level: Level) -> None:
        """What is handed in as right and loses points is the grader's fault, too."""
        judgement = audit.judge(program("accepted", "def iou(box_a, box_b):\n    return 0.5"), level)
        assert judgement.false_reject
        assert [word for word, _ in audit.faults([judgement])] == ["false reject"]

    def test_a_mutant_that_changes_nothing_is_right(self, level: Level) -> None:
        """Its answers to draws from the whole domain are the reference's."""
        judgement = audit.judge(program("mutant", self.REFERENCE + "\n    unreachable = 1"), level)
        assert (judgement.truth, judgement.passed) == ("right", True)

    def test_a_mutant_that_is_wrong_only_where_no_hidden_case_looks_is_found(
        self, level: Level, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A grader that asks too little accepts it; arguments of the domain show that it is wrong."""
        weak = replace(grader.load("iou")["iou"].domain, draw=lambda rng: ((0, 0, 1e6, 1), (0, 0, 1e6, 1)))
        monkeypatch.setattr(grader.load("iou")["iou"], "domain", weak)
        audit.domain.cache_clear()
        audit._answer.cache_clear()
        special = self.REFERENCE.replace("def iou(", "def right(") + (
            "\n\ndef iou(box_a, box_b):\n    return 0.5 if box_a[2] == 1e6 else right(box_a, box_b)"
        )
        judgement = audit.judge(program("mutant", special), level)
        audit.domain.cache_clear()
        audit._answer.cache_clear()
        assert judgement.false_accept
        assert "1000000.0" in judgement.evidence

    def test_a_mutant_that_is_a_slip_must_be_told_so(self, level: Level) -> None:
        """A program with a named misconception counts as diagnosed only by that name."""
        judgement = audit.judge(program("mutant", specimen.slip(IOU, "iou", "dice")), level)
        assert judgement.same_as == ["dice"]
        assert judgement.diagnosed
        judgement.slips = ["touching_boxes"]
        assert judgement.misdiagnosed
        judgement.slips = []
        assert [word for word, _ in audit.faults([judgement])] == ["undiagnosed"]

    def test_a_mutant_that_never_ends_is_wrong(self, level: Level) -> None:
        """It times out, and is not asked for the whole domain."""
        judgement = audit.judge(program("mutant", "def iou(box_a, box_b):\n    while True: pass"), level)
        assert (judgement.truth, judgement.outcome) == ("wrong", "timeout")

    def test_without_a_domain_nothing_is_claimed(self, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
        """A mutant that passes is left to a person."""
        monkeypatch.setattr(grader.load("iou")["iou"], "domain", None)
        judgement = audit.judge(program("mutant", self.REFERENCE), level)
        assert [word for word, _ in audit.faults([judgement])] == ["open"]


class TestPrograms:
    def test_mutants_differ_from_their_original_and_parse(self) -> None:
        """Each is another program in Python's own eyes, and says what was changed."""
        source = "def area(box):\n    return (box[2] - box[0]) * (box[3] - box[1])"
        found = list(programs.mutants(source))
        assert len(found) > 20
        assert all(ast.dump(ast.parse(mutant)) != ast.dump(ast.parse(source)) for _, _, mutant in found)
        assert all(change.startswith("- return (box[2] - box[0])") for _, change, _ in found)

    def test_styles_mean_the_same(self) -> None:
        """Every style of a function gives its values, by position and by keyword."""
        source = (
            "def share(part, whole=4):\n    total = 0\n    for _ in range(3):\n        total += part\n"
            "    return total / whole"
        )
        styles = dict(programs._restyled(source, "share", hashable=True))
        assert len(styles) == 8
        for style, restyled in styles.items():
            namespace: dict = {}
            exec(restyled, namespace)
            assert (namespace["share"](8), namespace["share"](part=8, whole=2)) == (6, 12), style

    def test_learnt_answers_pass_the_visible_tests(self) -> None:
        """The program that knows the visible tests by heart is a serious opponent."""
        (learnt,) = programs._visible_answers(IOU, "mean_iou")
        namespace: dict = {}
        exec(learnt.source, namespace)
        assert namespace["ANSWERS"]

    def test_every_question_with_plain_answers_has_a_domain(self) -> None:
        """So that no mutant of the light problems is left to a person."""
        asked = [question for p in LIGHT for question in grader.load(p.name).values()]
        assert [question.name for question in asked if question.domain is None] == []

    def test_seeds_are_for_questions_that_train(self) -> None:
        """Right programs with all of them, misconceptions with a third."""
        found = list(programs.reseeded(catalog.problem("mnist_cnn"), 3))
        assert {each.question for each in found} == {"train_digit_cnn"}
        assert [p.seed for p in found if (p.kind, p.name) == ("reseeded", "reference")] == [0, 1, 2]
        assert [p.seed for p in found if p.name == "returns_the_history"] == [0]
        assert list(programs.reseeded(IOU, 2)) == []


class Few(audit.Wanted):
    """An audit of two programs."""

    def programs(self) -> list[Program]:
        return [program("reference", TestJudging.REFERENCE), program("constant", "def iou(a, b): return 0")]


GRADER_OF_TWO = """
import math

WIDE = 3
area = grader.question("area", points=1)

@area.test
@pytest.mark.parametrize("side", [1, 2])
def test_area(compare, sides, side):
    compare(*sides, side)

half = grader.question("half", points=1)

@pytest.fixture
def sides(rng):
    return draw(rng)

@half.test
def test_half(request):
    request.getfixturevalue("drawn")

@pytest.fixture
def drawn():
    return WIDE / 2

def draw(rng):
    return rng.integers(WIDE), math.pi
"""


class TestPartOf:
    """A question stands on its own checks and on all that they mention."""

    @pytest.mark.parametrize(
        ("old", "new", "changed"),
        [
            ("compare(*sides, side)", "compare(*sides)", {"area"}),
            ("[1, 2]", "[1, 3]", {"area"}),
            ("math.pi", "math.e", {"area"}),
            ("import math", "from cmath import pi as math", {"area"}),
            ("WIDE / 2", "WIDE / 3", {"half"}),
            ('"half", points=1', '"half", points=2', {"half"}),
            ("WIDE = 3", "WIDE = 4", {"area", "half"}),
            ("def draw(", "# often\ndef draw(", set()),
        ],
    )
    def test_a_change_counts_for_whom_it_concerns(self, old: str, new: str, changed: set[str]) -> None:
        """In a fixture, a helper, a decorator, an import or a constant."""
        after = GRADER_OF_TWO.replace(old, new)
        assert after != GRADER_OF_TWO
        unlike = {q for q in ("area", "half") if audit.part_of(GRADER_OF_TWO, q) != audit.part_of(after, q)}
        assert unlike == changed


class TestKeeping:
    def test_an_audit_goes_on_where_it_stopped(self, level: Level, tmp_path: Path) -> None:
        """What a file holds of the same program is not judged again; the rest is added to it."""
        kept = tmp_path / "audit.jsonl"
        first = audit.audit(Few([IOU]), level, jobs=1, kept=kept)
        one, other = kept.read_text().splitlines()
        assert json.loads(one)["truth"] == "right"
        kept.write_text(
            one.replace("passed", "from the file") + "\n" + other[:40] + "\n"
        )  # it was killed there
        again = audit.audit(Few([IOU]), level, jobs=1, kept=kept)
        assert [j.outcome for j in again] == ["from the file", first[1].outcome]
        assert kept.read_text().splitlines()[2:] == [other]

    def test_a_fault_is_not_kept(self, level: Level, tmp_path: Path) -> None:
        """It is to be mended, so it is looked for again."""
        kept = tmp_path / "audit.jsonl"
        wrong = replace(Few([IOU]).programs()[0], kind="constant", name="full marks")

        class Faulty(audit.Wanted):
            def programs(self) -> list[Program]:
                return [wrong]

        (judgement,) = audit.audit(Faulty([IOU]), level, jobs=1, kept=kept)
        assert judgement.false_accept
        assert kept.read_text() == ""

    def test_the_page_tells_what_was_judged_at_any_time(self, level: Level, tmp_path: Path) -> None:
        """What is kept counts beside what was judged now; the file keeps that and nothing else."""
        kept, page = tmp_path / "audit.jsonl", tmp_path / "audit.md"
        judgements = audit.audit(Few([IOU]), level, jobs=1, kept=kept)
        lines = kept.read_text()
        outdated = json.loads(lines.splitlines()[0]) | {"key": "of before", "grader": "of before"}
        kept.write_text(json.dumps(outdated) + "\n" + lines + lines[:40] + "\n")
        audit.publish(judgements[1:], Few([IOU]), page, kept)
        assert "| iou | 1 | 0 | 95.00% | 1 | 0 | 95.00% |" in page.read_text()
        assert kept.read_text() == lines
        audit.publish(judgements[1:], Few([IOU]), page)
        assert "Of `iou`, 1 of 2 programs have been judged so far." in page.read_text()

    def test_a_changed_grader_is_judged_anew(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Its judgements have other keys, as those of a changed program do."""
        reference = program("reference", TestJudging.REFERENCE)
        key = audit.key(reference)
        assert audit.key(replace(reference, seed=1)) != key
        graders = tmp_path / "graders"
        (graders / "iou").mkdir(parents=True)
        text = IOU.grader.read_text(encoding="utf-8")
        monkeypatch.setattr(catalog, "GRADERS", graders)
        (graders / "iou" / "test_iou.py").write_text(text + "# a comment", encoding="utf-8")
        assert audit.key(reference) == key
        changed = text.replace('grader.question("iou", points=2', 'grader.question("iou", points=3')
        (graders / "iou" / "test_iou.py").write_text(changed, encoding="utf-8")
        assert audit.key(reference) != key

    def test_a_mutant_that_a_person_found_to_be_right(
        self, monkeypatch: pytest.MonkeyPatch, level: Level
    ) -> None:
        """The reason stands in its judgement, and in the page."""
        mutant = replace(program("mutant", TestJudging.REFERENCE), change="- a\n+ b")
        monkeypatch.setattr(programs, "equivalent", lambda problem: {("iou", "- a\n+ b"): "Both are one."})
        judgement = audit.judge(mutant, level)
        assert (judgement.truth, judgement.evidence) == ("right", "Both are one.")
        assert "`iou`: Both are one." in audit.page([judgement], [])


def judged(kind: programs.Kind, points: float, seed: int = 0, name: str = "") -> audit.Judgement:
    truth: audit.Truth = "right" if kind in programs.RIGHT else "wrong"
    return audit.Judgement(
        replace(program(kind, "", name=name), seed=seed), truth, "partial", points, 2.0, [], ["Not yet."]
    )


class TestChance:
    def test_points_that_a_seed_costs_or_gives(self) -> None:
        """A right program may lose none, and a wrong one may not have all."""
        right = [judged("reseeded", points, seed) for seed, points in enumerate((2.0, 2.0, 1.5))]
        wrong = [judged("baseline", points, seed) for seed, points in enumerate((1.0, 0.5, 2.0, 1.0))]
        tally = Tally([*right, *wrong])
        assert (tally.lost_by_chance.count, tally.lost_by_chance.of) == (1, 3)
        assert (tally.gained_by_chance.count, tally.gained_by_chance.of) == (1, 4)
        assert not tally.sound
        assert Tally([*right[:2], *wrong[:2]]).sound
        assert (tally.false_rejects.of, tally.false_accepts.of) == (0, 0)

    def test_the_page_has_a_row_for_each_program(self) -> None:
        judgements = [judged("reseeded", 1.5, name="loops"), judged("baseline", 1.0, name="untrained")]
        shown = audit.page(judgements, [])
        assert "| iou | loops | 1 | 1.5 | 1.5 | 2 | 1 | 100.0% |" in shown
        assert "| iou | untrained (wrong) | 1 | 1 | 1 | 2 | 0 | 95.0% |" in shown
        assert "false reject: iou · iou · reseeded" in shown


def test_what_a_person_found_to_be_right_are_mutants() -> None:
    """Each stands for a change that is still made, with a reason."""
    for problem in catalog.problems():
        found = programs.equivalent(problem)
        made = {
            (question, shown)
            for _, answers in programs._right(problem)
            for question in {name for name, _ in found}
            for _, shown, _ in programs.mutants(answers[question])
        }
        assert found.keys() <= made
        assert all(why.endswith(".") for why in found.values())


def test_the_readme_says_what_the_page_says() -> None:
    """Its two rates are those of the last audit."""
    page = (catalog.ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    readme = " ".join((catalog.ROOT / "README.md").read_text(encoding="utf-8").split())
    for what in ("False accepts, all wrong programs", "False rejects, all right programs"):
        count, number, bound = re.search(rf"{what}: (\d+) of (\d+) .*at most ([\d.]+)%", page).groups()
        assert f"{count} of {int(number):,}" in readme
        assert f"{bound} %" in readme


class TestRates:
    def test_the_bound_is_clopper_and_pearsons(self) -> None:
        """Of 0 in n it is 1 - 0.05 ** (1 / n), and it holds the share."""
        assert Rate(0, 300).bound == pytest.approx(1 - 0.05 ** (1 / 300))
        assert Rate(3, 10).bound > Rate(3, 10).share
        assert Rate(0, 0).bound == 1

    def test_a_fault_makes_a_grader_unsound(self, level: Level) -> None:
        """One false accept is enough."""
        good = audit.judge(program("reference", TestJudging.REFERENCE), level)
        bad = audit.judge(program("constant", TestJudging.REFERENCE), level)
        assert Tally([good]).sound
        assert not Tally([good, bad]).sound
