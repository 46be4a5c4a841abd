"""The documents say what the program does: commands, names, defaults, links, and blocks that run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from typer.main import get_command

from semtune.autofocus import AUTOFOCUS_FUNCTIONS
from semtune.cli import app
from semtune.config import Hyperparameters, SearchSettings
from semtune.metadata import METADATA_READERS, Blocks
from semtune.networks import ARCHITECTURES
from semtune.opponents import OPPONENTS
from semtune.registry import Registry
from semtune.report import TABLE_WRITERS
from semtune.score_maps import SCORE_MAPS
from semtune.search.space import parse_space
from semtune.simulator import SPECIALISTS
from semtune.workspace import SearchFolder, Workspace

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    path for pattern in ("*.md", "docs/**/*.md", "cluster/**/*.md") for path in sorted(ROOT.glob(pattern))
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in DOCUMENTS}
ALL = "\n".join(TEXTS.values())
README, COMMANDS, EXTENDING, SPACES_PAGE, OUTPUT = (
    TEXTS[name]
    for name in (
        "README.md",
        "docs/commands.md",
        "docs/extending.md",
        "docs/search-spaces.md",
        "docs/output.md",
    )
)
PROGRAM = get_command(app)
SPACES = [path.stem for path in sorted(ROOT.glob("search_spaces/*.yaml"))]
SHARED_OPTIONS = {"--json", "--workspace", "--tracking-uri", "--help", "--quiet"}

each_document = pytest.mark.parametrize("document", TEXTS)
each_command = pytest.mark.parametrize("name", PROGRAM.commands)


def blocks_of(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(text, heading):
    """What stands below a heading of the second level."""
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def command_lines():
    """Every `semtune ...` of a shell block or of the Makefile, whole."""
    shell = [
        line for text in TEXTS.values() for block in blocks_of(text, "sh") for line in block.splitlines()
    ]
    recipes = re.findall(r"\$\(BIN\)/(semtune [^|\\\n]*)", (ROOT / "Makefile").read_text("utf-8"))
    return list(dict.fromkeys(line for line in (*shell, *recipes) if line.startswith("semtune ")))


def prose_commands():
    """The word behind `semtune` in inline code, where the rest may be left out."""
    return sorted(set(re.findall(r"`semtune ([a-z]+)", ALL)))


# Commands


@each_command
def test_a_command_has_a_section_with_all_its_options_and_an_example(name):
    text = section(COMMANDS, name)
    options = {
        option for each in PROGRAM.commands[name].params for option in (*each.opts, *each.secondary_opts)
    }
    own = {option for option in options if option.startswith("--")} - SHARED_OPTIONS
    assert not [option for option in sorted(own) if f"`{option}" not in text and f" {option} " not in text]
    assert any(
        line.startswith(f"semtune {name}") for block in blocks_of(text, "sh") for line in block.split("\n")
    )


@each_command
def test_a_command_is_in_the_readme(name):
    assert f"semtune {name} " in README or f"semtune {name}\n" in README


def test_options_of_several_commands_are_told_once():
    shared = COMMANDS.partition("\n## ")[0]
    assert not [option for option in SHARED_OPTIONS - {"--help"} if f"`{option}" not in shared]


@pytest.mark.parametrize("line", command_lines())
def test_a_documented_command_line_is_accepted(line):
    arguments = shlex.split(line, comments=True)[1:]
    place = next((index for index, word in enumerate(arguments) if word in PROGRAM.commands), None)
    if place is None:
        assert set(arguments) <= {option for each in PROGRAM.params for option in each.opts}
        return
    PROGRAM.make_context("semtune", list(arguments))
    PROGRAM.get_command(None, arguments[place]).make_context(arguments[place], arguments[place + 1 :])


@each_command
def test_the_help_of_a_command_has_an_example_that_is_accepted(name):
    lines = [line.strip() for line in (PROGRAM.commands[name].epilog or "").splitlines()]
    shown = [line for line in lines if line.startswith("semtune ")]
    assert shown, f"give {name} an epilog: @app.command(epilog=examples(...))"
    for line in shown:
        words = shlex.split(line)[1:]
        assert words[0] == name
        PROGRAM.get_command(None, name).make_context(name, words[1:])


@pytest.mark.parametrize("word", prose_commands())
def test_a_command_named_in_prose_exists(word):
    assert word in PROGRAM.commands


def test_every_target_of_make_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", ALL, re.MULTILINE)) <= targets


# Names


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("docs/science.md", AUTOFOCUS_FUNCTIONS.names),
        ("docs/science.md", ARCHITECTURES.names),
        ("docs/science.md", SCORE_MAPS.names),
        ("docs/science.md", OPPONENTS),
        ("docs/science.md", SPECIALISTS.names),
        ("docs/commands.md", SPECIALISTS.names),
        ("docs/commands.md", TABLE_WRITERS.names),
        ("docs/commands.md", SPACES),
        ("README.md", ARCHITECTURES.names),
        ("README.md", METADATA_READERS.names),
        ("README.md", SPACES),
        ("docs/performance.md", AUTOFOCUS_FUNCTIONS.names),
    ],
)
def test_every_name_is_in_the_document(document, names):
    assert not [name for name in names if f"`{name}`" not in TEXTS[document]]


@pytest.mark.parametrize("model", [Hyperparameters, SearchSettings])
def test_the_documents_have_the_default_of_every_setting(model):
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", SPACES_PAGE, re.MULTILINE))
    for name, field in model.model_fields.items():
        assert name in rows, f"{name} is in no table of docs/search-spaces.md"
        if field.default is not None and not field.is_required() and not field.default_factory:
            assert rows[name] == str(field.default), name
        else:
            assert not re.match(r"[\d.]", rows[name]), f"{name} has no number as its default"


def test_the_documents_show_the_workspace_as_it_is():
    place, folder = Workspace(Path("w")), SearchFolder(Path("w/searches/s"))
    properties = [
        getattr(each, name)
        for each in (place, folder)
        for name, value in vars(type(each)).items()
        if isinstance(value, property) and name != "name"
    ]
    assert len(properties) > 10
    assert not [path.name for path in properties if path.name not in OUTPUT]


# Links and blocks


@each_document
def test_every_relative_link_resolves(document):
    for target, _, anchor in re.findall(r"\]\(([^)#\s]*)(#([^)\s]+))?\)", TEXTS[document]):
        if "://" in target:
            continue
        path = (ROOT / document).parent / target if target else ROOT / document
        assert path.exists(), f"{document} links to {target}"
        headings = re.findall(r"^#+ (.*)", path.read_text("utf-8"), re.MULTILINE) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{document} links to {target}#{anchor}"


@each_document
def test_every_file_that_is_named_exists(document):
    if document in ("docs/extending.md", "CHANGELOG.md"):  # the one makes files, the other tells of the past
        return
    named = set(re.findall(r"`((?:semtune|tests|docs|search_spaces|\.ci)/[\w/.*-]+)`", TEXTS[document]))
    assert not [name for name in sorted(named) if not list(ROOT.glob(name))]


@each_document
def test_every_python_block_compiles(document):
    for block in blocks_of(TEXTS[document], "python"):
        compile(block, document, "exec")


def test_every_space_in_the_documents_is_valid():
    blocks = [block for text in TEXTS.values() for block in blocks_of(text, "yaml")]
    assert len(blocks) >= 2
    for block in blocks:
        assert parse_space(block, "document", "document").architectures


@pytest.mark.parametrize("document", ["docs/durability.md", "docs/security.md"])
def test_a_test_that_a_document_names_exists(document):
    named = re.findall(r"(?:tests/)?(?:integration/)?(test_\w+\.py)", TEXTS[document])
    there = {path.name for path in ROOT.glob("tests/**/test_*.py")}
    assert named
    assert set(named) <= there
    for row in re.findall(r"^\|.*\|$", TEXTS["docs/durability.md"], re.MULTILINE)[2:]:
        assert ".py`" in row or "the same" in row, row


def test_the_decisions_are_numbered_without_a_gap():
    numbers = [int(path.name[:4]) for path in sorted(ROOT.glob("docs/decisions/*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def decisions():
    return [name for name in TEXTS if name.startswith("docs/decisions/")]


@pytest.mark.parametrize("document", decisions())
def test_a_decision_is_short_and_has_its_four_parts(document):
    text = TEXTS[document]
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Why",
        "Consequence",
    ]
    assert text.startswith(f"# {Path(document).name[:4]} ")
    assert len(text.splitlines()) <= 32


# The extensions, as written


@pytest.fixture
def entry_of(monkeypatch):
    """Do what a section of extending.md says, in this process alone; returns the entry of its line."""

    def follow(heading):
        file, line = blocks_of(section(EXTENDING, heading), "python")
        name = re.match(r"# (semtune/[\w/]+)\.py\n", file)[1].replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(file, name, "exec"), vars(module))
        table = re.match(r"# in (semtune/[\w/]+)/__init__\.py\n", line)[1].replace("/", ".")
        names = {**vars(sys.modules[table]), **vars(module), name.rpartition(".")[2]: module}
        (entry,) = eval(line, names)
        return entry

    return follow


@pytest.mark.parametrize("block", [*blocks_of(EXTENDING, "python"), *blocks_of(EXTENDING, "yaml")])
def test_an_extension_takes_less_than_twenty_lines(block):
    assert len(block.splitlines()) < 20


def test_the_autofocus_function_of_the_document_works(entry_of):
    function = entry_of("An autofocus function")
    Registry("autofocus function", AUTOFOCUS_FUNCTIONS).register(function)
    frame = np.array([[3, 9], [5, 100]], np.uint8)
    assert function.focus_value(frame) == 97
    assert function.focus_value(2 * frame) == 2**function.gain_power * 97
    with pytest.raises(ValueError, match="make it grey"):
        function.focus_value(np.zeros((2, 2, 3), np.uint8))


def test_the_architecture_of_the_document_works(entry_of):
    import torch

    architecture = entry_of("An architecture")
    Registry("architecture", ARCHITECTURES).register(architecture)
    network = architecture.build(controls=2)
    scores = network(torch.rand(3, 1, 64, 96), torch.tensor([[1.0, torch.nan]] * 3))
    assert scores.shape == (3,)
    assert scores.isfinite().all()


def test_the_vendor_of_the_document_is_read(entry_of):
    reader = entry_of("A vendor")
    Registry("metadata reader", METADATA_READERS).register(reader)
    found = reader.read(Blocks({}, text="[Acme]\nBrightness=48.5 %\nWD=8900 um\n"))
    assert (found.vendor, found.brightness, found.brightness_unit) == ("acme", 48.5, "percent")
    assert found.working_distance_mm == pytest.approx(8.9)
    assert found.contrast is None
    assert reader.read(Blocks({}, text="notes")) is None


def test_the_space_of_the_document_depends_on_its_optimizer():
    (text,) = blocks_of(EXTENDING, "yaml")
    decay = next(
        line for line in parse_space(text, "space.yaml", "space").parameters if line.name == "weight_decay"
    )
    assert decay.holds({"optimizer": "adamw"})
    assert not decay.holds({"optimizer": "adam"})


# What must not be in the repository


def tracked_texts():
    """Text files that git knows, or is about to know."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout, or git is not installed")
    for name in filter(None, listed):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content:
            yield name, content.decode("utf-8")


def test_no_file_names_a_place_of_one_machine_or_a_registry():
    place = re.compile(r"(?<![\w.*~)])/(?:work|root|home|Users|mnt)/\w")
    registry = re.compile(
        r"(?:index|find)[_-](?:url|links)|https?://\S*(?:pypi|pythonhosted|/simple\b)|pypi\.org"
    )
    this = Path(__file__).relative_to(ROOT).as_posix()
    found = [
        f"{name}: {match[0]}"
        for name, text in tracked_texts()
        if name != this
        for match in (place.search(text), registry.search(text))
        if match
    ]
    assert not found
