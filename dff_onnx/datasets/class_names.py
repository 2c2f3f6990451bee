"""What the classes of a classifier are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path

from dff_onnx.datasets.paths import is_file, read_text
from dff_onnx.errors import DatasetError, UsageError

IMAGENET = "imagenet_classes.txt"
BACKGROUND = "background"  # class 0 of TensorFlow's networks for ImageNet
LARGEST = 16 * 2**20
MOST = 2**20  # classes
LONGEST = 1000  # characters of a name
TOLD = 6  # classes in a sentence
SYNSET = re.compile(r"n[0-9]{8}")
LINE = re.compile(r"(?:(n[0-9]{8})(?:\s+|$))?(.*)")


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names by the numbers of the classes.

    Attributes:
        names: for people; two classes may share one (`crane` is a bird and a machine).
        synsets: WordNet's ids, as `n01440764`; None where a class has none.
    """

    names: tuple[str, ...]
    synsets: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.synsets):
            raise UsageError(f"classes: {len(self.names)} names and {len(self.synsets)} synsets; give as many")

    def __len__(self) -> int:
        return len(self.names)

    def label(self, number: int) -> str:
        """The synset of a class where it has one, else its name: what tells it apart from others.

        >>> imagenet_names().label(0)
        'n01440764'
        """
        return self.synsets[number] or self.names[number]

    def apart(self) -> tuple[str, ...]:
        """The names, each with its number behind it where several classes share it.

        >>> imagenet_names().apart()[133:135]
        ('bittern', 'crane (134)')
        """
        many = Counter(self.names)
        return tuple(f"{name} ({n})" if many[name] > 1 else name for n, name in enumerate(self.names))

    def find(self, text: str) -> int:
        """The number of the class that a person means: by number, synset, name, or a piece of one name alone.

        Cases do not matter, and an underscore is a space.

        Raises:
            UsageError: when there is no such class, or several; it names those, or the nearest.

        >>> imagenet_names().find("n01443537"), imagenet_names().find("Great_white"), imagenet_names().find("7")
        (1, 2, 7)
        """
        wanted = _folded(text)
        if re.fullmatch("[0-9]{1,9}", wanted):
            return self._numbered(int(wanted))
        for fitting in (
            [n for n, synset in enumerate(self.synsets) if synset == wanted],
            [n for n, name in enumerate(self.names) if _folded(name) == wanted],
            [n for n, name in enumerate(self.names) if wanted and wanted in _folded(name)],
        ):
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                raise UsageError(f"class {_told(text)}: fits {self._listed(fitting)}; give one's number")
        nearest = get_close_matches(wanted, dict.fromkeys(map(_folded, self.names)), TOLD)
        meant = [n for n, name in enumerate(self.names) if _folded(name) in nearest]
        hint = f"the nearest: {self._listed(meant)}" if meant else f"there are {len(self)}, give a number or a name"
        raise UsageError(f"class {_told(text)}: there is no such class; {hint}")

    def _numbered(self, number: int) -> int:
        if number >= len(self):
            raise UsageError(f"class {number}: there is no such class; their numbers are 0 to {len(self) - 1}")
        return number

    def _listed(self, numbers: Sequence[int]) -> str:
        told = ", ".join(f"{number} {self.names[number][:60]}" for number in numbers[:TOLD])
        return f"{told}, ..." if len(numbers) > TOLD else told


@cache
def imagenet_names() -> ClassNames:
    """The 1000 classes of ILSVRC 2012 in the order of their synsets, as nearly every network has them.

    >>> imagenet_names().names[999], imagenet_names().synsets[999]
    ('toilet tissue', 'n15075141')
    """
    with resources.as_file(resources.files("dff_onnx.datasets") / IMAGENET) as path:
        return read_class_names(path)


def read_class_names(path: str | Path) -> ClassNames:
    """Reads names, one class a line, in the order of their numbers.

    A line may begin with a synset (`n01440764 tench`). Lines that begin with `#` are comments. Empty lines at the end
    are no classes; elsewhere they are refused, because everything behind one would be numbered wrong.

    Args:
        path: of a UTF-8 text.

    Raises:
        UsageError: when there is no such file.
        DatasetError: naming the line that cannot be, or when there is no class.
    """
    path = Path(path)
    if not is_file(path):
        raise UsageError(f"{path}: there is no such file; give a text of class names, one a line")
    lines = [line.strip() for line in read_text(path, LARGEST).split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    read = [_class(path, number, line) for number, line in enumerate(lines, 1) if not line.startswith("#")]
    if not 0 < len(read) <= MOST:
        raise DatasetError(f"{path}: has {len(read)} classes, and 1 to {MOST} are needed; write one name a line")
    return ClassNames(tuple(name for _, name in read), tuple(synset for synset, _ in read))


def names_for(classes: int, said: ClassNames | None = None) -> ClassNames:
    """Names for a network's classes.

    Args:
        classes: how many it has.
        said: what a person gave. Without it 1000 classes are ImageNet's, 1001 are `background` and ImageNet's (as
            TensorFlow has them), and others are called by their numbers.

    Raises:
        UsageError: when other than `classes` names were given.

    >>> names_for(3).names, names_for(1001).names[:2]
    (('class 0', 'class 1', 'class 2'), ('background', 'tench'))
    """
    if said is not None:
        if len(said) != classes:
            raise UsageError(
                f"class names: {len(said)} are given and the network has {classes} classes; give a file of {classes} "
                "lines, or leave it out"
            )
        return said
    known = imagenet_names()
    if classes == len(known):
        return known
    if classes == len(known) + 1:
        return ClassNames((BACKGROUND, *known.names), (None, *known.synsets))
    return ClassNames(tuple(f"class {number}" for number in range(classes)), (None,) * classes)


def _class(path: Path, number: int, line: str) -> tuple[str | None, str]:
    found = LINE.fullmatch(line)
    synset, name = (found[1], found[2]) if found else (None, "")
    name = name or synset or ""
    if not name or len(name) > LONGEST or not name.isprintable():
        raise DatasetError(f"{path}, line {number}: {name[:40]!r} is no name of a class; write one name a line")
    return synset, name


def _folded(text: str) -> str:
    return text.strip().replace("_", " ").casefold()


def _told(text: str) -> str:
    return ascii(text) if len(text) <= 60 else f"{text[:60]!a}..."
