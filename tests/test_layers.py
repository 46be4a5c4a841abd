"""The laws of the house, read off the source: who may import whom, and what a module may do when imported."""

import ast
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "semtune"

# Module or package of semtune -> its layer. It imports only from lower ones; siblings are strangers.
LAYERS = {
    "errors": 0,
    "mounts": 1,
    "storage": 2,
    "environment": 1,
    "published": 1,
    "registry": 1,
    "spaces": 1,
    "hook": 1,
    "images": 1,
    "results": 1,
    "timing": 1,
    "workspace": 1,
    "config": 2,
    "metadata": 2,
    "autofocus": 2,
    "networks": 2,
    "predictions": 2,
    "events": 2,
    "nodes": 2,
    "files": 1,
    "loopback": 1,
    "provenance": 1,
    "interruption": 1,
    "stopping": 1,
    "engines": 3,
    "usage": 3,
    "journal": 4,
    "simulator": 3,
    "dataset": 3,
    "simulated_dataset": 4,
    "labelling": 5,
    "training": 4,
    "start": 4,
    "score_maps": 2,
    "robustness": 2,
    "differences": 2,
    "leaks": 7,
    "baseline": 4,
    "search": 5,
    "opponents": 5,
    "examination": 5,
    "fitting": 5,
    "scoring": 5,
    "planning": 6,
    "tracking": 6,
    "promotion": 6,
    "time_left": 6,
    "focusing": 7,
    "report": 6,
    "services": 7,
    "comparison": 7,
    "exhibits": 7,
    "forecast": 7,
    "explanation": 7,
    "reproduction": 7,
    "changes": 7,
    "hold": 7,
    "session": 7,
    "doctor": 7,
    "candidacy": 7,
    "export": 6,
    "score_rows": 6,
    "watching": 6,
    "serving": 6,
    "display": 7,
    "workflow": 8,
    "deployment": 8,
    "showing": 8,
    "api": 9,
    "cli": 9,
    "__main__": 10,
    "__init__": 0,
}

# A heavy library -> the modules that may import it.
HOMES = {
    "ray": ("search",),
    "optuna": ("search",),
    "mlflow": ("tracking",),
    "typer": ("cli", "cli_options"),
    "rich": ("cli", "display"),
    # The worker of a search holds the device: it is the one file of search/ that knows torch.
    # Two files hold the autofocus functions of many frames on a GPU: decision 0015.
    "torch": (
        "networks",
        "engines",
        "training",
        "scoring",
        "search.worker",
        "autofocus.batch",
        "autofocus.kernels",
    ),
    "triton": ("autofocus.kernels",),
    "torchvision": ("networks",),
    "onnxruntime": ("engines.exported", "export.score_frame"),
    "openvino": ("engines.exported", "export.score_frame"),
    "starlette": ("loopback", "labelling", "serving"),
    "uvicorn": ("labelling", "serving"),
    "fastapi": ("serving",),
    "pyarrow": ("storage",),
    "cv2": ("images", "autofocus", "simulator"),
}

QUIET = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
)


def unit_of(module):
    """The module or package that has a layer: `cli_progress` belongs to `cli`."""
    name = module.split(".")[0]
    return "cli" if name.startswith("cli_") else name


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
each_file = pytest.mark.parametrize("module", FILES)


@cache
def tree_of(module):
    return ast.parse(FILES[module].read_text("utf-8"))


def own_name(target):
    """`semtune.search.space` -> `search.space`; semtune itself -> `__init__`."""
    return target.removeprefix("semtune").removeprefix(".") or "__init__"


def imports_of(tree):
    """All (module, name) that a tree imports, wherever the statement stands; name is None for `import x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def own_imports(module):
    """Modules of semtune that a module imports; `from semtune.search import worker` is the module worker."""
    for target, name in imports_of(tree_of(module)):
        if target.split(".")[0] == "semtune":
            inner = own_name(f"{target}.{name}") if name else ""
            yield inner if inner in FILES else own_name(target)


def functions_in(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function):
    """Lines of a function behind its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


# Layers


@each_file
def test_a_module_has_a_layer(module):
    assert unit_of(module) in LAYERS, f"give {module} a layer in tests/test_layers.py"


@each_file
def test_a_module_imports_only_from_lower_layers(module):
    unit = unit_of(module)
    upward = {
        target
        for target in own_imports(module)
        if unit_of(target) not in (unit, "__init__") and LAYERS[unit_of(target)] >= LAYERS[unit]
    }
    assert not upward, f"{module} (layer {LAYERS[unit]}) imports {upward}"


@each_file
def test_imports_are_absolute(module):
    relative = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative


@each_file
def test_a_heavy_library_has_one_home(module):
    strangers = {
        library
        for library in (target.split(".")[0] for target, _ in imports_of(tree_of(module)))
        if library in HOMES
        and not any(f"{module}.".startswith(f"{home}.") for home in HOMES[library])
        and not (unit_of(module) == "cli" and "cli" in HOMES[library])
    }
    assert not strangers


def test_no_modules_import_each_other_in_a_circle():
    imported = {module: set(own_imports(module)) - {module} for module in FILES}
    while leaves := [module for module, targets in imported.items() if not targets & imported.keys()]:
        for leaf in leaves:
            del imported[leaf]
    assert not imported


@each_file
def test_no_private_name_is_imported(module):
    private = [
        name
        for target, name in imports_of(tree_of(module))
        if target.split(".")[0] == "semtune" and name and name.startswith("_") and not name.endswith("__")
    ]
    assert not private


@each_file
def test_the_command_line_imports_its_work_when_it_is_asked_for(module):
    if unit_of(module) not in ("cli", "__main__"):
        return
    tree = ast.parse(FILES[module].read_text("utf-8"))
    at_the_top = ast.Module([node for node in tree.body if not isinstance(node, ast.If)], [])
    for function in functions_in(at_the_top):
        function.body = [ast.Pass()]
    eager = {own_name(target) for target, _ in imports_of(at_the_top) if target.startswith("semtune.")}
    assert eager <= {"errors", "environment", "workspace"} | {
        each for each in FILES if unit_of(each) == "cli"
    }


# Nothing happens on import


def is_quiet(statement):
    if isinstance(statement, QUIET):
        return True
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
    return False


@each_file
def test_nothing_happens_on_import_but_definitions(module):
    loud = [ast.unparse(statement) for statement in tree_of(module).body if not is_quiet(statement)]
    if unit_of(module) == "cli":  # typer adds one command's group to another by a call
        loud = [statement for statement in loud if not statement.startswith("app.add_typer(")]
    assert not loud


@pytest.mark.parametrize("module", ["semtune", "semtune.cli"])
def test_the_command_line_starts_without_the_heavy_libraries(module):
    """`semtune --help` within 0.3 s."""
    if module == "semtune.cli" and "cli" not in FILES:
        pytest.skip("semtune.cli is not written yet")
    heavy = ("torch", "ray", "mlflow", "optuna", "cv2", "numpy", "pandas", "scipy", "matplotlib")
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.split() == []


# Size and form


@each_file
def test_a_file_has_at_most_300_lines(module):
    assert len(FILES[module].read_text("utf-8").splitlines()) <= 300


@each_file
def test_a_function_has_at_most_50_lines(module):
    long = {
        function.name: body_lines(function)
        for function in functions_in(tree_of(module))
        if body_lines(function) > 50
    }
    assert not long


def test_functions_are_short():
    lengths = sorted(body_lines(function) for module in FILES for function in functions_in(tree_of(module)))
    assert statistics.median(lengths) <= 8
    assert lengths[int(0.95 * len(lengths))] <= 30


@each_file
def test_assert_is_for_tests(module):
    assert not [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Assert)]


@each_file
def test_no_keyword_arguments_are_passed_through(module):
    """A callback of Ray may have to take what Ray gives; nothing may hand it on."""
    through = [
        function.name
        for function in functions_in(tree_of(module))
        if function.args.kwarg and uses(function, function.args.kwarg.arg)
    ]
    assert not through


def uses(function, name):
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(function))


@each_file
def test_nothing_public_is_without_a_docstring(module):
    tree = tree_of(module)
    bare = [] if ast.get_docstring(tree) else [module]
    definitions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    bare += [
        node.name for node in definitions if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not bare


@each_file
def test_no_file_names_a_place_of_one_machine(module):
    text = FILES[module].read_text("utf-8")
    assert not [place for place in [f"/{home}/" for home in ("work", "root", "home")] if place in text]


def test_no_module_is_called_after_what_it_has_left_over():
    leftovers = {"utils", "util", "helpers", "common", "base", "misc", "manager"}
    assert not [module for module in FILES if leftovers & set(module.split("."))]
