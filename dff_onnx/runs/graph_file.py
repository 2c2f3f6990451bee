"""The file of a graph beside an index: plain arrays in an `.npz`, refused once the vectors have changed.

The reader of such files knows float32 alone, so integers and float64 lie there as the float32 of the same bits.
"""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from dff_onnx.arrays.sparse import Sparse
from dff_onnx.errors import DffError, RefusedError, StoreError, UsageError
from dff_onnx.npz_file import Arrays, NpzForm, read_about, read_npz, refusing, write_npz
from dff_onnx.retrieval.graphs import Spectrum, graph_of_parts, graph_parts
from dff_onnx.runs.graph_parts import NEIGHBOURS, GraphParts, graph_beside, usual_neighbours
from dff_onnx.runs.output_file import check_writable
from dff_onnx.store import VectorStore
from dff_onnx.store.protocol import Kind

TYPES: dict[str, Any] = {
    "indptr": np.int64, "indices": np.int32, "data": np.float64, "roots": np.float64, "weights": np.float64,
    "components": np.int32, "ranks": np.int32, "values": np.float64, "vectors": np.float32,
    "near": np.int32, "solved": np.float32,
}  # fmt: skip
SPECTRUM, OFFLINE = ("components", "ranks", "values", "vectors"), ("near", "solved")
FORM = NpzForm(
    what="a graph of an index",
    maker="dff-onnx index-graph",
    format="dff-onnx/graph/1",
    sides={name: 1 for name in TYPES if name not in SPECTRUM + OFFLINE},
    optional={**dict.fromkeys(SPECTRUM, 1), **dict.fromkeys(OFFLINE, 2)},
    largest=2**40,
    error=StoreError,
)
Standing = Literal["none", "fresh", "stale", "damaged"]
LARGEST_VALUE = 1 + 1e-4  # of an eigenvalue, or of a unit vector, in single precision
LARGEST_FIGURE = 1e6  # of what has no sharper bound: sums of them stay finite


def check_graph_output(store: VectorStore, path: Path) -> None:
    """Before the work: refuses to write a graph over anything but a graph.

    Args:
        store: the index.
        path: to be written; nothing need be there.

    Raises:
        UsageError: for a folder, the index itself, or a file of another kind.
        OutputError: when nothing can be written there.
    """
    check_writable(path, Path(store.where), option="--graph")
    if not path.exists():
        return
    try:
        with refusing(path, FORM):
            read_about(path, FORM)
    except (RefusedError, UsageError) as error:
        raise UsageError(
            f"{path}: is there and holds something else than {FORM.what}; name another file with --graph, or remove it"
        ) from error


def write_graph(store: VectorStore, path: Path, parts: GraphParts) -> None:
    """Writes what was made of an index.

    Args:
        store: the index.
        path: of the file; `graph_beside` names a good one.
        parts: as `made_graph_parts` gave them.

    Raises:
        OutputError: when it cannot be written.
    """
    arrays = {**graph_parts(parts.graph), "weights": parts.weights}
    if parts.spectrum is not None:
        arrays |= _spectrum_arrays(parts.spectrum)
    if parts.solutions is not None:
        shape = (parts.graph.nodes, -1)
        arrays |= {"near": parts.solutions.indices.reshape(shape), "solved": parts.solutions.data.reshape(shape)}
    about = {"of": _of(store, parts.kind), "k": parts.k, "options": _options(parts)}
    write_npz(path, FORM, {name: _as_single(array, TYPES[name]) for name, array in arrays.items()}, about)


def read_graph(store: VectorStore, path: Path, kind: Kind, more: str = "") -> GraphParts:
    """Reads it back, trusting nothing.

    Args:
        store: the index.
        path: of the file.
        kind: of the nodes that are needed.
        more: options of the command that makes it, for messages.

    Raises:
        UsageError: when there is none, or it is of the other kind.
        StoreError: when it is damaged, something else, or older than the vectors.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; make it with `{command(store, kind, more, path)}`")
    with refusing(path, FORM):
        about = read_about(path, FORM)
    if about.get("of") != _of(store, kind):
        raise _other(store, path, kind, about, more)
    with refusing(path, FORM):
        arrays, about = read_npz(path, FORM)
        return _parts_of(arrays, about, kind, getattr(store.counts(), kind))


def standing(store: VectorStore, kind: Kind) -> Standing:
    """How the graph beside an index stands to it, by the first lines of its file alone; of a server, `none`."""
    if not Path(store.where).is_file() or not (path := graph_beside(store, kind)).is_file():
        return "none"
    try:
        with refusing(path, FORM):
            about = read_about(path, FORM)
    except StoreError:
        return "damaged"
    return "fresh" if about.get("of") == _of(store, kind) else "stale"


def command(store: VectorStore, kind: Kind, more: str = "", path: Path | None = None) -> str:
    """The command that makes the file, which is named where it does not lie beside the index."""
    index = Path(store.where)
    beside = path is None or (index.is_file() and path.resolve() == graph_beside(store, kind).resolve())
    named = "" if beside else f" --graph {shlex.quote(str(path))}"
    return f"dff-onnx index-graph {shlex.quote(store.where)} --of {kind}{more}{named}"


def options_of(parts: GraphParts) -> str:
    """What the command is given that makes them, beside the kind: the file is always written as a whole."""
    return _as_words(_options(parts))


def _options(parts: GraphParts) -> dict[str, int]:
    """The numbers behind the options; of one that stands alone, 1."""
    usual = usual_neighbours(NEIGHBOURS[parts.kind], parts.graph.nodes)
    found = {"k": parts.k} if parts.k != usual else {}
    if parts.spectrum is not None:
        found["rank"] = parts.rank
    return found if parts.solutions is None else {**found, "offline": 1}


def _as_words(options: Any) -> str:
    """Options of a file that may be anybody's: what is no number is not said."""
    given = options.items() if isinstance(options, dict) else ()
    numbers = {name: n for name, n in given if type(n) is int and 0 < n < 2**31}
    words = (f" --{name} {numbers[name]}" for name in ("k", "rank") if name in numbers)
    return "".join(words) + (" --offline" if "offline" in numbers else "")


def _other(store: VectorStore, path: Path, kind: Kind, about: dict[str, Any], more: str) -> DffError:
    of = about.get("of")
    found = of[0] if isinstance(of, list) and of else None
    if found in get_args(Kind) and found != kind:
        return UsageError(
            f"{path}: is a graph of {found}, and one of {kind} is needed; make it in another file with "
            f"`{command(store, kind, more, Path('OTHER'))}`"
        )
    had = _as_words(about.get("options"))
    if more and more.split()[0] not in had.split():
        had += more
    return StoreError(
        f"{path}: was made of other {kind} than {store.where} holds now; make it again with "
        f"`{command(store, kind, had, path)}`"
    )


def _of(store: VectorStore, kind: Kind) -> list[str]:
    return [kind, store.state(), hashlib.sha256(store.identity.to_json().encode()).hexdigest()]


def _parts_of(arrays: Arrays, about: dict[str, Any], kind: Kind, nodes: int) -> GraphParts:
    found = {name: _from_single(array, TYPES[name]) for name, array in arrays.items()}
    graph = graph_of_parts(found)
    k, weights = about.get("k"), found["weights"]
    if type(k) is not int or k < 2 or graph.nodes != nodes or len(weights) != nodes:
        raise RefusedError(f"is a graph of {graph.nodes} nodes, and there are {nodes} {kind}")
    if not (np.abs(weights) <= LARGEST_FIGURE).all():
        raise RefusedError(f"one of its weights is beyond {LARGEST_FIGURE:g}")
    for together in (SPECTRUM, OFFLINE):
        if 0 < sum(name in found for name in together) < len(together):
            raise RefusedError(f"holds a part of {', '.join(together)}, which belong together")
    spectrum = _spectrum_of(found, nodes) if "ranks" in found else None
    solutions = _solutions_of(found["near"], found["solved"], nodes) if "near" in found else None
    return GraphParts(kind, k, graph, weights, spectrum, solutions, _asked_rank(about.get("options"), spectrum))


def _asked_rank(options: Any, spectrum: Spectrum | None) -> int:
    """What `--rank` was, of options that may be anybody's: not less than there is."""
    if spectrum is None:
        return 0
    asked = options.get("rank") if isinstance(options, dict) else None
    return asked if type(asked) is int and spectrum.rank <= asked < 2**31 else spectrum.rank


def _spectrum_arrays(spectrum: Spectrum) -> dict[str, NDArray[Any]]:
    return {
        "components": spectrum.component,
        "ranks": np.array([len(values) for values in spectrum.values]),
        "values": np.concatenate(spectrum.values),
        "vectors": np.concatenate([np.ravel(vectors) for vectors in spectrum.vectors]),
    }


def _spectrum_of(found: dict[str, NDArray[Any]], nodes: int) -> Spectrum:
    components, ranks, values, vectors = (found[name] for name in SPECTRUM)
    ranks, count = ranks.astype(np.int64), len(ranks)
    if len(components) != nodes or components.min() < 0 or components.max() >= count:
        raise RefusedError(f"its components are none of {nodes} nodes")
    sizes = np.bincount(components, minlength=count)
    if (ranks < 1).any() or (ranks > sizes).any():
        raise RefusedError("a component of it has more eigenvalues than nodes, or none")
    if len(values) != ranks.sum() or len(vectors) != (ranks * sizes).sum():
        raise RefusedError("its eigenvalues and vectors are not as many as its components say")
    if not (np.abs(values) <= LARGEST_VALUE).all() or not (np.abs(vectors) <= LARGEST_VALUE).all():
        raise RefusedError("one of its eigenvalues, or a value of their vectors, is beyond -1..1")
    order = np.argsort(components, kind="stable")
    members = np.split(order, np.cumsum(sizes)[:-1])
    row = np.empty(nodes, np.int64)
    for some in members:
        row[some] = np.arange(len(some))
    cut = np.split(vectors, np.cumsum(ranks * sizes)[:-1])
    return Spectrum(
        components.astype(np.int64),
        row,
        tuple(np.split(values, np.cumsum(ranks)[:-1])),
        tuple(flat.reshape(size, -1) for flat, size in zip(cut, sizes, strict=True)),
        tuple(members),
    )


def _solutions_of(near: NDArray[Any], solved: NDArray[Any], nodes: int) -> Sparse:
    if near.shape != solved.shape or len(near) != nodes or not near.shape[1]:
        raise RefusedError(f"its solutions {near.shape} and {solved.shape} are none of {nodes} nodes")
    if near.min() < 0 or near.max() >= nodes or not (np.abs(solved) <= LARGEST_FIGURE).all():
        raise RefusedError(f"one of its solutions is of nodes that are not there, or beyond {LARGEST_FIGURE:g}")
    starts = np.arange(nodes + 1) * near.shape[1]
    return csr_matrix((solved.ravel(), near.ravel(), starts), shape=(nodes, nodes))


def _as_single(array: NDArray[Any], dtype: Any) -> NDArray[np.float32]:
    """The float32 of the same bits."""
    made: NDArray[np.float32] = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).view("<f4")
    return made


def _from_single(array: NDArray[np.float32], dtype: Any) -> NDArray[Any]:
    wanted = np.dtype(dtype)
    if array.shape[-1] * 4 % wanted.itemsize:
        raise RefusedError(f"an array of it ends in the middle of a number of {wanted.itemsize} bytes")
    made: NDArray[Any] = array.view(wanted)
    return made
