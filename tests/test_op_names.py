"""Who asks which operation a node is: only what is about these operations. All others ask the operation itself (``Op``)."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from hwnas.graph import OPS

ROOT = Path(__file__).parents[1] / "hwnas"
NAMES = {op.__name__ for op in OPS.values()}
# file: the operations that it is about
ABOUT = {
    "deployed/folding.py": {"BatchNorm", "Conv", "WeightedAdd"},  # what becomes of them in a deployed network
    "deployed/program.py": {"Clip", "MaxPool"},  # faster ways to the same
    "estimate/change.py": {"Clip"},  # which activations are bounded
    "importing/head.py": {"Conv", "Flatten", "GlobalAvgPool", "Linear"},  # what a classifier ends with
    "importing/translation.py": {"Flatten", "Linear"},
    "injection/dirty.py": {"Conv", "Linear"},  # fast paths through them
    "injection/from_onnx.py": {"BatchNorm"},  # what becomes of it in a deployed network
    "morphism/bound.py": {"Clip"},
    "morphism/enlarge_kernel.py": {"Conv"},
    "morphism/insert_gate.py": {"Multiply"},
    "morphism/project_shortcut.py": {"Pad", "Slice"},  # what a shortcut without weights consists of
    "morphism/remove_layer.py": {"BatchNorm", "Concat", "Conv"},
    "morphism/remove_skip.py": {"Add", "Concat", "WeightedAdd"},
    "morphism/separable.py": {"Conv"},
    "morphism/skip_add.py": {"Add", "WeightedAdd"},
    "morphism/skip_concat.py": {"Concat"},
    "morphism/swap_activation.py": {"Clip"},
    "morphism/tidy.py": {"Add", "Clip", "WeightedAdd"},
    "network/transfer.py": {"BatchNorm"},  # one that passes its input on
    "onnxfiles/operators/merging.py": {"Conv", "Linear"},  # a bias that follows
    "onnxfiles/operators/shaping.py": {"Flatten", "Linear"},  # gates of linear layers
    "training/calibration.py": {"BatchNorm"},
}


def _is_of_graph(node: ast.AST) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hwnas.graph")


def places() -> Iterator[tuple[str, str]]:
    """(file, operation) for each isinstance, case or comparison of types that names an operation."""
    for path in sorted(ROOT.rglob("*.py")):
        file = str(path.relative_to(ROOT))
        if file.startswith("graph/ops/") or file == "network/compute.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known = {alias.name for node in ast.walk(tree) if _is_of_graph(node) for alias in node.names} & NAMES
        for node in ast.walk(tree):
            asks = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
            if asks or isinstance(node, ast.MatchClass | ast.Compare):
                parts = node.args[1:] if isinstance(node, ast.Call) else [node]
                for part in parts:
                    yield from ((file, name.id) for name in ast.walk(part) if isinstance(name, ast.Name) and name.id in known)


def test_nothing_asks_for_an_operation_that_it_is_not_about() -> None:
    strangers = [f"{file} asks for {name}" for file, name in places() if name not in ABOUT.get(file, set())]
    assert not strangers


def test_the_list_holds_no_more_than_there_is() -> None:
    asked: dict[str, set[str]] = {}
    for file, name in places():
        asked.setdefault(file, set()).add(name)
    assert asked == ABOUT
