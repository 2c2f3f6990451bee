"""`dff-onnx bank`: banks are read, edited and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dff_onnx.concepts.bank import Bank, bank_bytes, bank_sha256, check_belongs, read_bank
from dff_onnx.concepts.edits import SAME, Difference, check_concepts, diff, merged, renamed, split
from dff_onnx.errors import UsageError
from dff_onnx.files import write_atomically
from dff_onnx.report.labels_file import JOINT, checked_parts
from dff_onnx.report.palette import colour, hexadecimal
from dff_onnx.runs.output_file import check_output


def merge_banks(paths: Sequence[Path], output: Path, same: float = SAME, overwrite: bool = False) -> Bank:
    """Writes the concepts of several banks as one: `edits.merged`.

    Args:
        paths: of two banks or more, of one fingerprint.
        output: to be written.
        same: the cosine from which concepts of different banks become one.
        overwrite: whether a bank of another making may be replaced.

    Raises:
        UsageError: when there are fewer, none has concepts, several hold a foreground, or `output` is something else.
        BankError: when one cannot be read, or is of another network.
        OutputError: when `output` cannot be written.
    """
    if len(paths) < 2:
        raise UsageError("merge: at least two banks are needed")
    banks = _read_alike(paths)
    made = merged(banks, lambda number: hexadecimal(colour(number)), same)
    _write({output: made}, overwrite)
    return made


def split_bank(
    path: Path, keep: Sequence[int], output: Path, rest: Path | None = None, overwrite: bool = False
) -> tuple[Bank, Bank | None]:
    """Writes some concepts of a bank as a bank, and the others as another: `edits.split`.

    Args:
        path: of the bank.
        keep: numbers of the concepts for `output`.
        output: to be written.
        rest: to be written with the others; None leaves them out.
        overwrite: whether banks of another making may be replaced.

    Raises:
        UsageError: for numbers that the bank has not, and when nothing is left for `rest`.
        BankError: when the bank cannot be read.
        OutputError: when a file cannot be written.
    """
    if rest is not None and rest.resolve() == output.resolve():
        raise UsageError(f"{output}: is named by -o and by --rest; choose two files")
    bank = read_bank(path)
    check_concepts(bank, path)
    chosen, others = split(bank, keep)
    if rest is not None and others is None:
        raise UsageError(f"{path}: --keep names all {len(bank.W)} concepts, and none is left for --rest; leave it out")
    _write({output: chosen} | ({rest: others} if rest is not None and others is not None else {}), overwrite)
    return chosen, others


def rename_concepts(
    path: Path, names: Mapping[int, str | None], output: Path | None = None, overwrite: bool = False
) -> Bank:
    """Writes a bank with other names: `edits.renamed`.

    Args:
        path: of the bank.
        names: by number; None takes a name away.
        output: to be written; None writes the bank itself.
        overwrite: whether a bank of another making may be replaced at `output`.

    Raises:
        UsageError: for numbers that the bank has not.
        BankError: when the bank cannot be read.
        OutputError: when the file cannot be written.
    """
    made = renamed(read_bank(path), names)
    if output is None or output.resolve() == path.resolve():
        write_atomically(path, bank_bytes(made))
    else:
        _write({output: made}, overwrite)
    return made


def compare_banks(ours: Path, theirs: Path) -> tuple[Bank, Bank, Difference]:
    """Two banks, and what is different: `edits.diff`.

    Raises:
        UsageError: when one has no concepts.
        BankError: when one cannot be read, or they are of different networks.
    """
    one, other = _read_alike((ours, theirs))
    for path, bank in ((ours, one), (theirs, other)):
        check_concepts(bank, path)
    return one, other, diff(one, other)


def numbers_said(text: str) -> tuple[int, ...]:
    """Numbers of concepts with commas between them.

    >>> numbers_said("0, 2")
    (0, 2)
    """
    return tuple(_number(part.strip()) for part in text.split(","))


def names_said(words: Sequence[str]) -> dict[int, str | None]:
    """Names by number; a concept that shows several parts has commas between them, as for `dff-onnx label`.

    Raises:
        UsageError: for what is no such word, a number twice, and what cannot be a name.

    >>> names_said(["0=head, neck", "2="])
    {0: 'head + neck', 2: None}
    """
    names: dict[int, str | None] = {}
    for word in words:
        number, sign, name = word.partition("=")
        if not sign:
            raise UsageError(f"{word!a}: a number and a name are needed, such as 0=head")
        if _number(number) in names:
            raise UsageError(f"{word!a}: concept {number} is named twice")
        names[_number(number)] = JOINT.join(checked_parts(name.split(","))) or None
    return names


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise UsageError(f"{text!a}: the number of a concept is needed, such as 0")
    return int(text)


def _read_alike(paths: Sequence[Path]) -> list[Bank]:
    """Banks of one network."""
    banks: list[Bank] = []
    for path in paths:
        bank = read_bank(path)
        check_belongs(bank, (banks[0] if banks else bank).fingerprint, path, str(paths[0]))
        banks.append(bank)
    return banks


def _write(made: Mapping[Path, Bank], overwrite: bool) -> None:
    """Writes banks, after a look at what is there in their place."""
    for path, bank in made.items():
        check_output(path, {"making": bank_sha256(bank)}, _making, "a bank", overwrite)
    for path, bank in made.items():
        write_atomically(path, bank_bytes(bank))


def _making(path: Path) -> dict[str, str]:
    """Of a bank that is there; raises for another file."""
    return {"making": bank_sha256(read_bank(path))}
