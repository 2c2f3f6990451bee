"""The house has floors: an import points to a lower one."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "dff_onnx"
FLOORS = {
    "errors": -1, "locks": -1,  # the ground: they stand on nothing
    "records": 0, "arrays": 0, "threads": 0, "progress": 0, "files": 0, "npy": 0, "plain_text": 0, "differences": 0,
    "npz_file": 1, "inert_pickle": 1, "images": 1, "linear_head": 1, "factorization": 1, "maps": 1, "metrics": 1,
    "backbone": 2, "concepts": 2, "cam": 2, "retrieval": 2, "store": 2, "datasets": 2,
    "export": 3, "deploy": 3, "report": 3,
    "zoo": 4, "learning": 4,
    "runs": 5,
    "evaluation": 6, "cluster": 6, "doctor": 6,
    "__init__": 7,
    "cli": 8, "__main__": 9,
}  # fmt: skip


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def rooms_imported(tree: ast.AST) -> set[str]:
    parts = [name.split(".") for name in imports(tree) if name.split(".")[0] == "dff_onnx"]
    return {p[1] if len(p) > 1 and p[1] in FLOORS else "__init__" for p in parts}


def sources() -> list[tuple[Path, ast.Module]]:
    return [(file, ast.parse(file.read_text(encoding="utf-8"))) for file in sorted(PACKAGE.rglob("*.py"))]


def test_every_room_has_a_floor() -> None:
    assert {room_of(file) for file, _ in sources()} <= FLOORS.keys()


def test_an_import_points_to_a_lower_floor() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {room}"
        for file, tree in sources()
        if room_of(file) != "__init__"  # the public names live below it and are imported for type checkers only
        for room in rooms_imported(tree)
        if room != room_of(file) and FLOORS[room] >= FLOORS[room_of(file)]
    ]
    assert not wrong


def test_cupy_is_named_only_in_arrays_torch_only_in_export_and_scikit_learn_only_in_learning() -> None:
    homes = {"cupy": "arrays", "cupyx": "arrays", "torch": "export", "torchvision": "export", "sklearn": "learning"}
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file, tree in sources()
        for name in imports(tree)
        if homes.get(name.split(".")[0], room_of(file)) != room_of(file)
    ]
    assert not wrong


def test_no_file_is_longer_than_400_lines_and_no_function_body_than_50() -> None:
    wrong: list[str] = []
    for file, tree in sources():
        if len(file.read_text(encoding="utf-8").splitlines()) > 400:
            wrong.append(f"{file.name}: longer than 400 lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                statements = node.body[1:] if ast.get_docstring(node) else node.body
                if statements and (node.end_lineno or 0) - statements[0].lineno >= 50:
                    wrong.append(f"{file.name}: {node.name} has more than 50 lines")
    assert not wrong
