"""Search spaces: every shipped one reads; every bad line is refused with its number and what to do."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from semtune.config import Hyperparameters
from semtune.errors import ConfigError
from semtune.networks import ARCHITECTURES
from semtune.search.halving import rungs
from semtune.search.space import parse_space, read_space

SHIPPED = sorted((Path(__file__).parents[1] / "search_spaces").glob("*.yaml"))


def space_of(text):
    return parse_space(text, "space.yaml", "space")


def with_architecture(*lines):
    """Lines from the second on, under a sound first one."""
    return space_of("\n".join(["architecture: {choice: [pacf, vgg11]}", *lines]))


def named(space, name):
    return next(parameter for parameter in space.parameters if parameter.name == name)


# What is shipped


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_space_reads(path):
    space = read_space(path)
    assert space.name == path.stem
    assert space.text == path.read_text("utf-8")
    assert sorted(space.architectures) == sorted(ARCHITECTURES.names)
    for stratum in space.strata:
        assert 1 <= space.grace_epochs(stratum) <= space.epochs(stratum)


def test_the_shipped_spaces_are_there():
    assert {path.stem for path in SHIPPED} >= {"table1", "quick", "full"}


def test_the_table_of_the_paper_starts_with_its_setting():
    space = read_space(SHIPPED[0].with_name("table1.yaml"))
    assert space.settings.first == {"learning_rate": 1.5e-4}
    assert space.strata == ARCHITECTURES.names
    assert {space.epochs(stratum) for stratum in space.strata} == {100}


# Sound lines


@pytest.mark.parametrize(
    ("line", "distribution", "values"),
    [
        ("learning_rate: {log_uniform: [1.0e-5, 1.0e-2]}", "log_uniform", (1e-5, 1e-2)),
        ("learning_rate: {log_uniform: [1e-5, 1e-2]}", "log_uniform", (1e-5, 1e-2)),
        ("weight_decay: {uniform: [0, 0.1]}", "uniform", (0.0, 0.1)),
        ("batch_size: {int_uniform: [8, 64]}", "int_uniform", (8, 64)),
        ("batch_size: {choice: [16, 32]}", "choice", (16, 32)),
        ("dropout: {choice: [null, 0.5]}", "choice", (None, 0.5)),
        ("crop: 96", "value", (96,)),
        ("optimizer: {value: sgd}", "value", ("sgd",)),
    ],
)
def test_a_line_is_read(line, distribution, values):
    parameter = named(with_architecture(line), line.split(":")[0])
    assert (parameter.distribution, parameter.values) == (distribution, values)


def test_what_a_space_leaves_out_has_a_default():
    space = space_of("architecture: pacf")
    assert space.architectures == ("pacf",)
    assert space.strata == ("",)
    assert space.epochs("") == Hyperparameters(architecture="pacf").epochs
    assert space.settings.trials == 24


def test_a_condition_holds_for_the_values_it_names():
    line = "dropout: {uniform: [0.0, 0.5], when: {architecture: [vgg11]}, otherwise: 0.1}"
    parameter = named(with_architecture(line), "dropout")
    assert parameter.holds({"architecture": "vgg11"})
    assert not parameter.holds({"architecture": "pacf"})
    assert not parameter.holds({})
    assert parameter.otherwise == 0.1


def test_a_condition_may_name_one_value_without_a_list():
    parameter = named(with_architecture("crop: {value: 96, when: {architecture: pacf}}"), "crop")
    assert parameter.when == (("architecture", ("pacf",)),)


def test_epochs_may_differ_between_architectures():
    space = with_architecture("epochs: {value: 40, when: {architecture: [pacf]}, otherwise: 2}")
    assert (space.epochs("pacf"), space.epochs("vgg11")) == (40, 2)
    assert space.epochs("") == 40


def test_the_first_rung_is_a_ninth_of_the_epochs_or_as_given():
    assert with_architecture("epochs: 90").grace_epochs("") == 10
    assert with_architecture("epochs: 2").grace_epochs("") == 1
    assert with_architecture("epochs: 90", "grace_epochs: 4").grace_epochs("") == 4


def test_without_a_scheduler_there_is_no_rung():
    space = with_architecture("epochs: 90", "grace_epochs: 4", "scheduler: none")
    assert space.grace_epochs("") == 90
    assert rungs(90, space.grace_epochs(""), 3.0) == []


@given(trials=st.integers(1, 50))
def test_trials_are_shared_out_to_the_strata_and_none_is_left(trials):
    space = with_architecture("stratify: architecture", f"trials: {trials}")
    shares = [space.share(stratum) for stratum in space.strata]
    assert sum(shares) == trials
    assert shares == sorted(shares, reverse=True)
    assert shares[0] - shares[-1] <= 1


@pytest.mark.parametrize(
    ("line", "inside", "outside"),
    [
        ("learning_rate: {uniform: [0.1, 0.2]}", [0.1, 0.15, 0.2], [0.09, 0.3, "a", None]),
        ("batch_size: {choice: [16, 32]}", [16, 32], [24]),
        ("batch_size: 16", [16], [17]),
    ],
)
def test_a_line_contains_what_it_can_draw(line, inside, outside):
    parameter = named(with_architecture(line), line.split(":")[0])
    assert all(map(parameter.contains, inside))
    assert not any(map(parameter.contains, outside))


# The command line


def test_the_command_line_takes_the_place_of_a_line():
    space = with_architecture("epochs: 100", "trials: 9").overridden(
        {"epochs": 3, "crop": 96, "tiles": None}, {"trials": 4, "seed": None}
    )
    assert space.epochs("") == 3
    assert named(space, "crop").values == (96,)
    assert (space.settings.trials, space.settings.seed) == (4, 0)
    assert all(parameter.name != "tiles" for parameter in space.parameters)


def test_conditions_see_what_the_command_line_fixed():
    line = "weight_decay: {value: 0.1, when: {architecture: [vgg11]}, otherwise: 0.0}"
    space = with_architecture(line).overridden({"architecture": "vgg11"}, {})
    names = [parameter.name for parameter in space.parameters]
    assert names.index("architecture") < names.index("weight_decay")


def test_a_space_without_overrides_is_the_same():
    space = read_space(SHIPPED[0])
    assert space.overridden({}, {}) == space


@pytest.mark.parametrize(
    ("hyperparameters", "settings_", "message"),
    [
        ({"crop": 10}, {}, "command line: crop: input should be greater than or equal to 64, but got 10"),
        ({"architecture": "pafc"}, {}, "command line: no architecture named 'pafc'; did you mean 'pacf'"),
        ({}, {"trials": 0}, "command line: trials: input should be greater than or equal to 1, but got 0"),
    ],
)
def test_the_command_line_is_checked_too(hyperparameters, settings_, message):
    with pytest.raises(ConfigError, match=message):
        with_architecture().overridden(hyperparameters, settings_)


# Refused lines: each stands in line 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "learning_rat: 0.1",
            r"no hyperparameter or setting named 'learning_rat'; did you mean 'learning_rate'\?",
        ),
        ("trails: 9", r"no hyperparameter or setting named 'trails'; did you mean 'trials'\?"),
        ("learning_rate: fast", "learning_rate: input should be a valid number.*but got 'fast'"),
        ("learning_rate: [0.1, 0.2]", "learning_rate: a number or a name is needed, but got"),
        ("learning_rate: true", "learning_rate: a number or a name is needed, but got True"),
        ("learning_rate: .nan", "learning_rate: a number or a name is needed, but got nan"),
        ("learning_rate: .inf", "learning_rate: a number or a name is needed, but got inf"),
        ("learning_rate: -1", "learning_rate: input should be greater than 0, but got -1"),
        ("learning_rate: null", "learning_rate: input should be a valid number, but got None"),
        ("learning_rate: 2020-01-01", "learning_rate: input should be a valid number"),
        ("batch_size: 16.5", "batch_size: input should be a valid integer"),
        ("batch_size: many", "batch_size: input should be a valid integer"),
        ("optimizer: adm", "optimizer: input should be 'adam', 'adamw' or 'sgd', but got 'adm'"),
        ("crop: 32", "crop: input should be greater than or equal to 64, but got 32"),
        (
            "learning_rate: {uniform: [0.2, 0.1]}",
            "`low < high` must hold, but got low=0.2, high=0.1: an empty range",
        ),
        ("learning_rate: {uniform: [0.1, 0.1]}", "an empty range"),
        ("learning_rate: {uniform: [0.1]}", r"uniform needs two numbers \[low, high\], but got \[0.1\]"),
        ("learning_rate: {uniform: [0.1, 0.2, 0.3]}", "uniform needs two numbers"),
        ("learning_rate: {uniform: 0.1}", "uniform needs a list, but got 0.1"),
        ("learning_rate: {uniform: []}", r"uniform needs a list, but got \[\]"),
        ("learning_rate: {choice: []}", "choice needs a list"),
        ("learning_rate: {choice: {a: 1}}", "choice needs a list"),
        ("learning_rate: {log_unifrom: [1, 2]}", r"no key named 'log_unifrom'; did you mean 'log_uniform'\?"),
        ("learning_rate: {}", "learning_rate: exactly one distribution is needed"),
        ("learning_rate: {choice: [1], uniform: [1, 2]}", "exactly one distribution is needed"),
        ("weight_decay: {log_uniform: [0.0, 0.1]}", "log_uniform needs `0 < low`, but got low=0"),
        ("warmup_epochs: {int_uniform: [0.5, 3]}", "int_uniform needs whole numbers"),
        ("batch_size: {uniform: [8, 64]}", "whole numbers are needed; write int_uniform or choice"),
        ("batch_size: {choice: [16, 32, 16]}", "a choice stands twice in"),
        ("optimizer: {uniform: [adam, sgd]}", "uniform needs two numbers"),
        ("dropout: {uniform: [0.0, 1.0]}", "dropout: input should be less than 1, but got 1.0"),
        ("dropout: {uniform: [null, 0.5]}", "uniform needs two numbers"),
        ("dropout: {value: 0.1, when: [vgg11]}", "`when` needs a mapping such as"),
        (
            "dropout: {value: 0.1, when: {architectur: [vgg11]}}",
            "named 'architectur'; did you mean 'architecture'",
        ),
        (
            "dropout: {value: 0.1, when: {architecture: [vgg12]}}",
            "no architecture named 'vgg12'; did you mean 'vgg1",
        ),
        (
            "dropout: {value: 0.1, when: {optimizer: [adam]}}",
            "depends on 'optimizer', which must stand in a line above",
        ),
        (
            "dropout: {value: 0.1, when: {dropout: [0.1]}}",
            "depends on 'dropout', which must stand in a line above",
        ),
        ("dropout: {value: 0.1, otherwise: 2}", "dropout: input should be less than 1, but got 2"),
        ("epochs: {choice: [10, 20]}", "epochs cannot be searched: trials of unequal length do not compare"),
        ("stratify: optimizer", "stratify: input should be 'architecture', but got 'optimizer'"),
        ("trials: none", "trials: input should be a valid integer"),
        ("trials: 0", "trials: input should be greater than or equal to 1, but got 0"),
        ("seed: -1", "seed: input should be greater than or equal to 0"),
        ("architecture: pacf", "'architecture' stands in line 1 already; keep one of the two"),
        ("first: {learning_rate: 0.1}", "first: 'learning_rate' is not searched here; known: architecture"),
        (
            "first: {architecture: resnet50}",
            "first: architecture='resnet50' lies outside of what line 1 allows",
        ),
        ("first: {architecture: resnet5}", "no architecture named 'resnet5'; did you mean 'resnet50'"),
        ("first: 3", "first: input should be a valid dictionary"),
    ],
    ids=lambda value: value if value.count(":") and not value.count("`") else "",
)
def test_a_bad_line_is_refused_with_its_number(line, problem):
    with pytest.raises(ConfigError, match=rf"^space.yaml:2: .*{problem}"):
        with_architecture(line)


def test_an_unknown_architecture_is_answered_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"^space.yaml:1: no architecture named 'resnet5'; did you mean 'resnet50'\?"
    ):
        space_of("architecture: {choice: [pacf, resnet5]}")


def test_the_number_is_that_of_the_line_in_the_file():
    text = "# a comment\n\narchitecture: pacf\n\n# another\nlearning_rate:\n  uniform: [2, 1]\n"
    with pytest.raises(ConfigError, match=r"^space.yaml:6: learning_rate: `low < high` must hold"):
        space_of(text)


def test_a_space_names_an_architecture():
    with pytest.raises(ConfigError, match=r"space.yaml:1: `architecture` is missing; write e.g."):
        space_of("learning_rate: 0.1")


def test_epochs_may_depend_on_the_architecture_alone():
    """Else the scheduler could not tell how long a whole trial is."""
    with pytest.raises(ConfigError, match=r"space.yaml:3: epochs can depend on the architecture alone"):
        with_architecture("optimizer: {choice: [adam, sgd]}", "epochs: {value: 9, when: {optimizer: [sgd]}}")


def test_the_architecture_depends_on_nothing():
    """Else a trial could be left without a network."""
    text = "optimizer: {choice: [adam, sgd]}\narchitecture: {choice: [pacf], when: {optimizer: [adam]}}"
    with pytest.raises(ConfigError, match=r"space.yaml:2: the architecture cannot depend on another"):
        space_of(text)


# Refused files


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b",
        "pacf",
        "# nothing",
        "architecture: {choice: [pacf",
        "architecture: pacf\n\tcrop: 96",
        "a: b\n---\nc: d",
        "crop: !!python/object/apply:os.system [ls]",
        "crop: !!int ''",
        "crop: !!bool maybe",
        "crop: !!timestamp soon",
        "crop: !!float wide",
        "a: &a [*a]",
        "architecture: " + "[" * 1000,
        "crop: " + "9" * 5000,
        "learning_rate: " + "9" * 4000,
        "crop: 2020-13-45",
        "? [a, b]\n: c",
        "architecture: pacf\x00",
    ],
)
def test_what_is_no_search_space_is_refused(text):
    with pytest.raises(ConfigError, match=r"^space.yaml"):
        space_of(text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"lost.yaml: cannot be read .*; give a YAML file or the name of a shipped"
    ):
        read_space(tmp_path / "lost.yaml")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\xff\xfe\x00", "cannot be read"), (b"#" * 1_000_001, "larger than 1000000 bytes")],
)
def test_a_file_that_is_no_text_is_refused(tmp_path, content, problem):
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        read_space(path)


def test_a_message_stays_short_however_large_the_value():
    nested = "\n".join(["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 18)])
    for text in (nested.replace("a17:", "crop:"), f"crop: {'x' * 100_000}", f"crop: {list(range(5_000))}"):
        with pytest.raises(ConfigError, match=r"^space.yaml") as error:
            space_of(text)
        assert len(str(error.value)) < 1000


# Anything at all

keys = st.sampled_from(
    [*Hyperparameters.model_fields, "stratify", "first", "trials", "seed", "nothing", "when"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.sampled_from([*ARCHITECTURES.names, "adam", "cosine", "architecture", ""]),
    st.text(max_size=5),
    st.dates(),
    st.binary(max_size=3),
)
kinds = st.sampled_from(
    ["value", "choice", "uniform", "log_uniform", "int_uniform", "when", "otherwise", "x"]
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(kinds | keys, inner, max_size=3)
        | st.dictionaries(st.integers() | st.none(), inner, max_size=1)
    ),
    max_leaves=5,
)


def accepted_or_refused(text):
    """A space that reads can propose: its lines hold values that make trials."""
    try:
        space = space_of(text)
    except ConfigError as refused:
        message = str(refused)
    else:
        message = ""
    if message:
        assert message.startswith("space.yaml")
        return
    for stratum in space.strata:
        assert space.grace_epochs(stratum) >= 1
        assert space.epochs(stratum) >= 1
    for parameter in space.parameters:
        for value in (*parameter.values, parameter.otherwise):
            if value is not None:
                Hyperparameters.model_validate({"architecture": "pacf", parameter.name: value})


@settings(max_examples=150)
@given(lines=st.dictionaries(keys, values, max_size=4))
def test_any_mapping_is_accepted_or_refused_in_words(lines):
    accepted_or_refused(yaml.safe_dump({"architecture": "pacf", **lines}, sort_keys=False))


@settings(max_examples=100)
@given(
    text=st.text(
        alphabet=st.sampled_from("architecture: pacf\n{}[]!&*?|>-'\"#%,.0123456789e\t\u00b5"), max_size=60
    )
)
@example("crop: !!int")
@example("architecture: pacf\ncrop: !")
def test_any_text_is_accepted_or_refused_in_words(text):
    accepted_or_refused(text)
