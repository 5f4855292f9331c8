"""The house has floors: a file imports from its own floor or below. Files stay short. (CONTRIBUTING.md)"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "zoo").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])

FLOORS = {
    0: (
        "zoo",
        "zoo.errors",
        "zoo.text",
        "zoo.encodings",
        "zoo.full_width",
        "zoo.files",
        "zoo.registry",
        "zoo.config",
        "zoo.recipe",
        "zoo.user_code",
        "zoo.yaml_strict",
        "zoo.hub",
        "zoo.curves",
        "zoo.runs",
        "zoo.visualize",
        "zoo.cache",
        "zoo.runtime",
        "zoo.metrics",
        "zoo.data",
        "zoo.answers",
        "zoo.serving",
        "zoo.saved",
    ),
    1: (
        "zoo.layers",
        "zoo.decoding",
        "zoo.training.losses",
        "zoo.training.vocabulary_loss",
        "zoo.training.optim",
        "zoo.compile",
        "zoo.data.tokenizers_graph",
        "zoo.runtime.saved_model",
    ),
    2: ("zoo.models", "zoo.decoding.search"),
    3: ("zoo.tasks", "zoo.training", "zoo.loading"),
    4: (
        "zoo.export",
        "zoo.contract",
        "zoo.judge",
        "zoo.serving.saved_model",
        "zoo.saved.check",
        "zoo.saved.origin",
        "zoo.saved.publish",
    ),
    5: ("zoo.cli",),
}
"""The longest prefix that fits a module decides."""

TENSORFLOW = (
    "zoo.compile",
    "zoo.data.tokenizers_graph",
    "zoo.runtime.saved_model",
    "zoo.training.step_tensorflow",
    "zoo.training.together",
    "zoo.export",
    "zoo.serving.saved_model",
    "zoo.contract.layers",
    "zoo.cli.doctor",
)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("zoo", *parts) if parts[0] == "cli" else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def floor(module: str) -> int | None:
    fitting = [(len(p), number) for number, prefixes in FLOORS.items() for p in prefixes if within(module, p)]
    # `zoo` itself stands for the package file alone: a module nobody put on a floor is an error.
    fitting = [item for item in fitting if item[0] > len("zoo") or module == "zoo"]
    return max(fitting)[1] if fitting else None


def imports(path: Path, top_only: bool) -> Iterator[str]:
    """Modules a file imports, anywhere or only outside functions."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the import in full"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


MODULES = {module_of(path): path for path in FILES}
by_module = pytest.mark.parametrize("module", MODULES)


@by_module
def test_every_file_has_a_floor(module: str) -> None:
    assert floor(module) is not None, f"put {module} on a floor in {Path(__file__).name}"


@by_module
def test_imports_go_down(module: str) -> None:
    lazy = module == "zoo" or within(module, "zoo.cli")  # there, imports inside functions may reach up
    here = floor(module)
    up = [name for name in imports(MODULES[module], lazy) if within(name, "zoo") and floor(name) > here]
    assert up == []
    if here == 5:
        own = [name for name in imports(MODULES[module], True) if within(name, "zoo")]
        assert [name for name in own if floor(name) not in (0, 5)] == [], (
            "import it inside the command function"
        )


@by_module
def test_no_deep_learning_on_the_ground_floor(module: str) -> None:
    found = {name.split(".")[0] for name in imports(MODULES[module], False)}
    if floor(module) == 0:
        assert not found & {"keras", "tensorflow", "tensorflow_text", "jax"}
    if not any(within(module, allowed) for allowed in TENSORFLOW):
        assert not found & {"tensorflow", "tensorflow_text"}, "TensorFlow is imported in few places only"


@by_module
def test_nobody_imports_the_folders_by_their_own_names(module: str) -> None:
    tops = {name.split(".")[0] for name in imports(MODULES[module], False)}
    assert not tops & {"cli", "recipes", "saved_models", "tests"}
    if floor(module) < 5:
        assert not [name for name in imports(MODULES[module], False) if within(name, "zoo.cli")]


@pytest.mark.parametrize(
    "path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda path: path.name
)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500, "does it hold more than one idea?"


@pytest.mark.parametrize(
    "path",
    [path for folder in ("layers", "models", "decoding") for path in (ROOT / "zoo" / folder).glob("*.py")],
    ids=lambda path: path.stem,
)
def test_only_portable_forms(path: Path) -> None:
    """Each of these works in TensorFlow and fails on another target; zoo/layers/portable.py says what to write."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "ops":
            assert node.attr not in {"argmax", "slice_update", "scan"}, f"line {node.lineno}: ops.{node.attr}"
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Tuple)
            and isinstance(node.ctx, ast.Load)
        ):
            constants = [part.value for part in node.slice.elts if isinstance(part, ast.Constant)]
            assert None not in constants or _is_annotation(node), f"line {node.lineno}: None in an index"


def _is_annotation(node: ast.Subscript) -> bool:
    """`dict[str, None]` and the like: an index of a type, not of a tensor."""
    return getattr(node.value, "id", "") in {"dict", "tuple", "list", "Callable"}
