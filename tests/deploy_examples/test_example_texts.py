"""What the examples say: every folder is in the table, versions are exact, no host but the reader's own is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from deploy_files import EXAMPLES

LEFT_OUT = ("node_modules", "venv", "build", "target")
WRITTEN = (".py", ".mjs", ".html", ".css", ".svg", ".json", ".md", ".hpp", ".cpp", ".txt", ".java", ".xml")
# Names of formats, which nothing asks for, and the reader's own machine.
NO_HOSTS = ("http://www.w3.org/2000/svg", "http://maven.apache.org/POM/4.0.0", "http://localhost:8000/")


def texts() -> dict[Path, str]:
    paths = [path for path in sorted(EXAMPLES.rglob("*")) if path.suffix in WRITTEN]
    own = [path for path in paths if not set(path.relative_to(EXAMPLES).parts) & set(LEFT_OUT)]
    return {path: path.read_text(encoding="utf-8") for path in own}


def test_every_folder_is_in_the_table_and_has_a_readme() -> None:
    folders = sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))
    assert folders == ["cpp", "java", "node", "python", "web"]
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\]", table, re.MULTILINE)) == folders


def test_the_java_example_says_that_it_was_not_run() -> None:
    assert "**This was not run.**" in (EXAMPLES / "java" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("example", ["node", "web"])
def test_npm_packages_have_exact_versions(example: str) -> None:
    package = json.loads((EXAMPLES / example / "package.json").read_text(encoding="utf-8"))
    versions = package["dependencies"]
    assert versions[f"onnxruntime-{example}"] == "1.30.0"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())


def test_no_example_names_a_host_or_a_path_of_one_machine() -> None:
    found = texts()
    assert len(found) > 25
    for path, text in found.items():
        addresses = re.findall(r"\w+://[^\s\"'`)]+", text)
        assert [one for one in addresses if one not in NO_HOSTS] == [], path
        assert not re.search(r"(?<![\w.])/(work|home|root|tmp|usr)/", text), path
