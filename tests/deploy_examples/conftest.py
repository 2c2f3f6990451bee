"""The compiled files, and the tools that the examples need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from deploy_files import Deployed, make_files, need_packages_of, tool


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return make_files(tmp_path_factory.mktemp("deployed"))


@pytest.fixture(scope="session")
def node() -> str:
    return tool("node", "nodejs")


@pytest.fixture(scope="session")
def node_example(node: str) -> str:
    """Node, with the packages of examples/deploy/node."""
    need_packages_of("node")
    return node
