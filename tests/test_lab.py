"""Where a grader's own functions run with Keras: apart from students, and the same in both labs."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from autograder import batch, models
from autograder import lab as labs
from autograder.errors import GraderError, NotAttempted, StudentCrash, StudentError, Unreadable
from autograder.grader import KERAS
from autograder.lab import Lab, LocalLab
from autograder.models import Model
from autograder.sandbox import models as sandbox_models
from autograder.submission import LocalSubmission, SandboxSubmission

PAIRS = np.array([[1, 2], [3, 4]], np.float32)
DOUBLED = np.array([[6], [14]], np.float32)
WEIGHTS = [np.array([[2], [2]], np.float32)]
DOUBLING = models.sequential((2,), [("Dense", {"units": 1, "use_bias": False})], WEIGHTS)
"""A network that makes `DOUBLED` of `PAIRS`: twice the sum of each."""


@pytest.fixture(scope="module")
def sandbox(level):
    """A warm process that holds Keras."""
    return batch.warm_sandbox(level, KERAS.imports)


@pytest.fixture
def apart(sandbox):
    """A lab in a process of its own."""
    with closing(Lab(sandbox, KERAS.limits, seed=1)) as lab:
        yield lab


@pytest.fixture(params=["apart", "local"])
def lab(request):
    """Each kind of lab: the sandbox's, and this process."""
    return LocalLab() if request.param == "local" else request.getfixturevalue("apart")


@pytest.fixture
def submission(sandbox):
    """A student's notebook that spoils whatever its own process holds."""
    source = (
        "import builtins, os\n"
        "import keras\n"
        "import numpy as np\n"
        "builtins.mark = np.mark = keras.mark = 'spoiled'\n"
        "open('mark', 'w').close()\n"
        "os.environ['MARK'] = 'spoiled'\n"
        "keras.Model.predict = lambda *a, **k: 7\n"
        "def scale(value, by=1):\n"
        "    return value * by\n"
        "def count(model, by=1):\n"
        "    if by is None: os._exit(3)\n"
        "    model.count = getattr(model, 'count', 0) + 1 // by\n"
        "    return model.count\n"
        "def own():\n"
        "    return keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])\n"
    )
    made = SandboxSubmission(
        student="ada", sandbox=sandbox, notebook=new_notebook(cells=[new_code_cell(source)]),
        untouched=frozenset(), limits=KERAS.limits, seed=1,
    )  # fmt: skip
    with closing(made):
        made.execute()
        yield made


def doubling(factor=2.0):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([keras.ops.full((2, 1), factor)])
    return model


def compiled():
    import keras

    inputs = keras.Input((2,))
    outputs = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(2))(inputs)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", loss="mse", metrics=["mae"])
    return model


def predictions(model, x):
    return model.predict(x, verbose=0)


def annotated(x: np.ndarray) -> np.ndarray:
    return x + 1


class TestValues:
    """Plain values go in and come out as they would of a student's function."""

    def test_positional_and_named(self, lab):
        def described(array, *, names, by=1):
            return {"sum": array.sum() * by, "names": (*names, None), "array": array + 1}

        told = lab(described, np.arange(3), names=("a", "b"), by=2)
        assert (told["sum"], told["names"]) == (6, ("a", "b", None))
        assert told["array"].tolist() == [1, 2, 3]

    def test_imports_of_its_own(self, lab):
        """A function imports what it uses; it may define others in it."""

        def area(radius):
            """Return the area of a circle."""
            import math

            def square(value):
                return value * value

            return math.pi * square(radius)

        assert lab(area, 2) == pytest.approx(4 * np.pi)

    def test_annotations(self, lab):
        """A function may say of what types it is, in names that only the grader's own file has."""
        assert lab(annotated, np.ones(2)).tolist() == [2, 2]

    def test_functions_of_one_name(self, lab):
        """The one that is given is called."""

        def first():
            def answer():
                return 1

            return answer

        def second():
            def answer():
                return 2

            return answer

        assert [lab(first()), lab(second()), lab(first())] == [1, 2, 1]

    def test_arguments_are_not_changed(self, lab):
        """Whatever the function does with them."""

        def spoil(array, items):
            array[:] = 0
            items.append(1)
            return array

        array, items = np.ones(2), []
        assert lab(spoil, array, items).tolist() == [0, 0]
        assert (array.tolist(), items) == ([1, 1], [])

    def test_tensors_are_arrays(self, lab):
        def ones():
            import keras

            return keras.ops.ones((2, 3))

        answer = lab(ones)
        assert type(answer) is np.ndarray
        assert (answer.dtype, answer.shape) == (np.float32, (2, 3))


class TestModels:
    """Models come back as handles, and handles go in as models."""

    def test_what_a_handle_tells(self, lab):
        model = lab(doubling)
        assert isinstance(model, Model)
        assert (model.input_shape, model.output_shape, model.count_params()) == ((None, 2), (None, 1), 2)
        assert [(layer.class_name, layer.parameters) for layer in model.layers] == [("Dense", 2)]
        assert np.array_equal(model.predict(PAIRS), DOUBLED)
        assert np.array_equal(model.weights()[0], WEIGHTS[0])

    def test_a_compiled_one(self, lab):
        model = lab(compiled)
        assert model.evaluate(PAIRS, DOUBLED + 2) == {"loss": 4.0, "mae": 2.0}
        assert model.network().learning_rate == pytest.approx(0.01)

    def test_several(self, lab):
        def some(factors):
            import keras

            def scaling(factor):
                model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(factor)])
                return factor, model

            return {"models": [scaling(factor) for factor in factors]}

        for factor, model in lab(some, [1.0, 3.0])["models"]:
            assert np.array_equal(model.predict(PAIRS), PAIRS * factor)

    def test_as_arguments(self, lab):
        """A model of the lab's own, or one by its config and weights."""
        model = lab(doubling)
        for given in (model, model.network(), DOUBLING):
            assert np.array_equal(lab(predictions, given, PAIRS), DOUBLED)

    def test_of_its_own_is_the_same_object(self, lab):
        """So that a function may compile or train what another one made, whatever it is made of."""

        def own():
            import keras

            return keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])

        def compiled(model):
            model.compile("sgd", "mse")
            return model

        def is_compiled(model):
            return model.compiled

        model = lab(own)
        assert lab(compiled, model).number == model.number
        assert lab(is_compiled, model) is True

    def test_built_again(self, lab):
        """It is another model of the same lab."""
        model = lab(doubling)
        again = model.rebuilt()
        assert again.home is model.home
        assert again.number != model.number
        assert np.array_equal(again.predict(PAIRS), DOUBLED)

    def test_from_another_place(self, lab, apart, submission):
        """Built again of its config and weights, and compiled as it was."""

        def state(model):
            return model.compiled, [weight.tolist() for weight in model.get_weights()]

        rebuilt = submission.rebuild(DOUBLING)
        for given in (rebuilt, apart(doubling), LocalLab()(doubling)):
            assert lab(state, given) == (False, [[[2.0], [2.0]]])
        assert lab(state, apart(compiled)) == lab(state, LocalLab()(compiled)) == (True, [[[2.0], [2.0]]])

    def test_inside_other_values(self, lab):
        def total(models):
            return sum(model.count_params() for model in models["all"])

        assert lab(total, {"all": [DOUBLING, lab(doubling)]}) == 4


class TestApart:
    """The sandbox's lab is a process in which nothing of a student's ever ran."""

    def test_sees_nothing_of_the_students(self, submission):
        """Neither what it did to modules, nor its names, files and environment."""

        def marks():
            import builtins
            import os
            from pathlib import Path

            import keras
            import numpy as np

            spoiled = [module.__name__ for module in (builtins, np, keras) if hasattr(module, "mark")]
            return spoiled, [*Path().iterdir()], "MARK" in os.environ, "scale" in globals()

        assert submission.lab(marks) == ([], [], False, False)
        assert np.array_equal(submission.lab(predictions, DOUBLING, PAIRS), DOUBLED)
        assert submission.scale(2, by=3) == 6

    def test_shows_nothing_to_the_student(self, submission):
        """What the grader's functions define and write stays there."""

        def scale():
            from pathlib import Path

            Path("secret").write_text("7919")
            return 5

        assert submission.lab(scale) == 5
        assert submission.scale(2) == 2
        with pytest.raises(StudentError, match="There is no file"):
            submission.file("secret")
        with pytest.raises(NotAttempted):
            submission.value("secret")

    def test_what_is_wrong_with_a_students_model_is_the_students(self, submission):
        """A model that can't be built again reaches no lab, and the grader has no fault in that."""
        with pytest.raises(Unreadable, match="because of a Lambda"):
            submission.lab(predictions, submission.own(), PAIRS)

    def test_only_its_own_source(self, apart):
        """What else the grader's file defines is not there."""

        def uses_a_global():
            return WEIGHTS

        with pytest.raises(GraderError, match=r"NameError.*WEIGHTS"):
            apart(uses_a_global)

    def test_starts_when_it_is_needed(self, sandbox, monkeypatch):
        """And runs on in the same process until it is closed."""
        started = []
        start = sandbox.job
        monkeypatch.setattr(sandbox, "job", lambda *settings: started.append(settings) or start(*settings))
        lab = Lab(sandbox, KERAS.limits, 1)
        lab.close()
        assert len(started) == 0
        for _ in range(2):
            assert lab(doubling).count_params() == 2
        assert len(started) == 1
        lab.close()

    def test_draws_do_not_depend_on_what_came_before(self, apart):
        def draws():
            import random

            import keras
            import numpy as np

            return [random.random(), np.random.rand(), float(keras.random.uniform(()))]

        drawn = apart(draws)
        apart(compiled)
        assert apart(draws) == drawn


class TestBuilt:
    """A model that is built from its config and weights is the one that Keras would read from them."""

    def sequential(self):
        import keras

        layers = [keras.layers.Dense(3, activation="relu"), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        return keras.Sequential([keras.Input((2,)), *layers], name="of_three")

    def compiled(self):
        model = self.sequential()
        model.compile("adam", loss="mse", metrics=["mae"])
        return model

    def nested(self):
        import keras

        return keras.Sequential([keras.Input((2,)), self.sequential(), keras.layers.Dense(2)])

    def without_an_input(self):
        import keras

        model = keras.Sequential([keras.layers.Dense(2)])
        model(PAIRS)
        return model

    def functional(self):
        import keras

        inner = self.sequential()
        return keras.Model(inner.inputs, inner.outputs)

    @pytest.mark.parametrize("kind", ["sequential", "compiled", "nested", "without_an_input", "functional"])
    def test_same_model(self, kind):
        import keras

        def config(model):
            return json.dumps(keras.saving.serialize_keras_object(model))

        model = getattr(self, kind)()
        built = sandbox_models.build(config(model), model.get_weights())
        own = keras.saving.deserialize_keras_object(json.loads(config(model)))
        assert config(built) == config(own)
        assert built.compiled == model.compiled
        assert np.array_equal(built(PAIRS), model(PAIRS))

    def test_a_model_that_is_not_built_yet(self):
        import keras

        config = keras.saving.serialize_keras_object(keras.Sequential([keras.layers.Dense(2)]))
        assert sandbox_models.build(json.dumps(config), []).weights == []


class TestFaults:
    """Whatever goes wrong with a grader's function is the grader's."""

    def test_an_exception(self, apart):
        """It is told in full: the instructor reads it."""

        def fails(number):
            raise ValueError(f"no {number}")

        with pytest.raises(GraderError, match=r"The grader's own code failed: .*ValueError.* no 7919"):
            apart(fails, 7919)
        assert apart(predictions, DOUBLING, PAIRS).tolist() == DOUBLED.tolist()

    def test_an_exception_where_the_grader_is(self):
        """It is raised as it is."""

        def fails():
            raise ZeroDivisionError("no")

        with pytest.raises(ZeroDivisionError, match="no"):
            LocalLab()(fails)

    def test_a_model_that_can_not_be_sent(self, apart):
        """One of the grader's own that no other process can build is no fault of a student's."""

        def own():
            import keras

            return keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])

        with pytest.raises(GraderError, match=r"can't be sent: .* because of a Lambda"):
            LocalLab()(predictions, apart(own), PAIRS)

    def test_a_question_that_a_model_can_not_answer(self, apart):
        with pytest.raises(GraderError, match="ValueError"):
            apart(doubling).evaluate(PAIRS, DOUBLED)
        with pytest.raises(GraderError):
            apart(doubling).predict(np.ones((1, 5)))

    def test_an_end(self, apart):
        """The next call runs in another process; models of the first are gone."""

        def leaves():
            import os

            os._exit(3)

        model = apart(doubling)
        with pytest.raises(GraderError, match="leaves of the grader did not end well"):
            apart(leaves)
        with pytest.raises(GraderError):
            model.predict(PAIRS)
        assert np.array_equal(apart(doubling).predict(PAIRS), DOUBLED)

    def test_a_model_whose_process_ends(self, apart):
        def deadly():
            import os

            import keras

            class Deadly(keras.layers.Layer):
                def call(self, x):
                    os._exit(3)

            return keras.Sequential([Deadly()])

        with pytest.raises(GraderError, match="A model of the grader was lost"):
            apart(deadly).predict(PAIRS)


def moment(key):
    import time

    return time.perf_counter_ns()


class TestOnce:
    """What a whole class is asked alike is computed for the first submission only."""

    def test_the_same_arguments(self, sandbox):
        """Another submission's lab does not even start a process for them."""
        key = np.arange(3.0)
        with closing(Lab(sandbox, KERAS.limits, seed=1)) as first:
            answer = first.once(moment, key)
            assert first.once(moment, key + 1) != answer
        with closing(Lab(sandbox, KERAS.limits, seed=1)) as second:
            assert second.once(moment, key) == answer
            assert second._job is None

    def test_answers_are_copies(self, apart):
        apart.once(predictions, DOUBLING, PAIRS)[:] = 0
        assert np.array_equal(apart.once(predictions, DOUBLING, PAIRS), DOUBLED)

    def test_a_model_comes_back_as_its_network(self, lab):
        network = lab.once(doubling, 2.0)
        assert isinstance(network, models.Network)
        assert np.array_equal(lab(predictions, network, PAIRS), DOUBLED)

    def test_a_held_network_is_built_when_it_is_asked(self, apart, submission):
        """A student can be given it before."""
        model = apart.hold(DOUBLING)
        assert model.network().config == DOUBLING.config
        assert np.array_equal(model.weights()[0], WEIGHTS[0])
        assert apart._job is None
        assert np.array_equal(model.predict(PAIRS), DOUBLED)
        assert model.count_params() == 2
        assert apart._job is not None

    def test_a_held_network_in_either_lab(self, lab):
        model = lab.hold(DOUBLING)
        assert np.array_equal(model.rebuilt().predict(PAIRS), DOUBLED)
        assert np.array_equal(lab(predictions, model, PAIRS), DOUBLED)

    def test_a_held_network_that_is_given_again(self, submission, apart):
        """A student's process builds it once, and another network, or another process, has its own."""
        held, other = apart.hold(DOUBLING), apart.hold(models.Network(DOUBLING.config, DOUBLING.weights))
        assert [submission.count(model) for model in (held, held, other, held)] == [1, 2, 1, 3]
        with pytest.raises(StudentError, match="ZeroDivisionError"):
            submission.count(held, by=0)
        assert submission.count(held) == 1
        with pytest.raises(StudentCrash):
            submission.count(held, by=None)
        assert [submission.count(held) for _ in range(2)] == [1, 2]

    def test_so_many_are_remembered(self, apart, monkeypatch):
        monkeypatch.setattr(labs, "MAX_REMEMBERED", 2)
        answers = [apart.once(moment, number) for number in range(3)]
        assert apart.once(moment, 2) == answers[2]
        assert apart.once(moment, 0) != answers[0]


class TestWorkedSolution:
    """Trusted code meets what it would in the sandbox."""

    @pytest.fixture
    def local(self):
        import keras

        kept = []

        def keep():
            kept.append(compiled())
            return kept[-1]

        def received(model):
            return bool(kept) and model is kept[-1], model.compiled

        def spoil(array):
            array[:] = 0
            return array

        def fails():
            raise ValueError("no")

        def own():
            return keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])

        names = {"keep": keep, "received": received, "spoil": spoil, "fails": fails, "own": own}
        return LocalSubmission(student="ada", namespace=names | {"kept": doubling()})

    def test_models_are_handles(self, local):
        """And come back as the same object where they came from there."""
        model = local.keep()
        assert np.array_equal(model.rebuilt().predict(PAIRS), DOUBLED)
        assert local.received(model) == (True, True)
        assert local.received(model.rebuilt()) == (False, True)
        assert local.received(DOUBLING) == (False, False)
        assert local.value("kept").count_params() == 2

    def test_arguments_and_answers_are_copies(self, local):
        array = np.ones(2)
        assert local.spoil(array).tolist() == [0, 0]
        assert array.tolist() == [1, 1]

    def test_exceptions(self, local):
        with pytest.raises(StudentError, match="`fails` raised ValueError: no"):
            local.fails()
        with pytest.raises(StudentError, match="The model could not be evaluated"):
            local.value("kept").evaluate(PAIRS, DOUBLED)

    def test_what_can_not_be_built_again(self, local):
        """As in the sandbox, so that a worked solution shows it."""
        with pytest.raises(Unreadable, match="because of a Lambda"):
            local.own().rebuilt()

    def test_its_lab_is_this_process(self, local):
        assert isinstance(local.lab, LocalLab)
        assert np.array_equal(local.lab(predictions, local.keep(), PAIRS), DOUBLED)

    def test_budgets_are_not_kept(self, local):
        """There is no clock; the call is the same."""
        assert local.training(cpu_seconds=1e-9).keep().count_params() == 2
