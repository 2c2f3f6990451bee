"""`maps.npz`: what the masks of a run are made of, so that they can be made again without the network.

One entry a picture, `<place in results.json>.npy`: float32 `(k, h, w)` heat maps on the grid, or uint8 `(k, h, w)` of
maps that were sharpened, 255 for 1. `docs/results.md` describes it. Equal maps give equal bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from dff_onnx.errors import RefusedError
from dff_onnx.files import open_atomically
from dff_onnx.npy import DAMAGE, LONGEST_HEADER, Header, add_array, read_header, values_of

Maps = NDArray[np.float32] | NDArray[np.uint8]
LEVEL = 1  # of deflate: sharpened maps are mostly 0 and 255, and higher levels gain little
# Of one picture, unpacked: 2000 concepts at the 512 pixels of sharpened maps.
LARGEST = 512 * 2**20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def write_maps(path: Path, maps: Iterable[Maps]) -> None:
    """Writes the maps of a run's pictures, one picture after the other.

    Args:
        path: the file; it appears when it is whole.
        maps: `(k, h, w)` of each picture: float32 heat maps, or uint8, sharpened.

    Raises:
        OutputError: when it cannot be written.
    """
    with open_atomically(path) as file, zipfile.ZipFile(file, "w") as archive:
        for number, one in enumerate(maps):
            if one.dtype == np.uint8:
                add_array(archive, str(number), np.ascontiguousarray(one), LEVEL)
            else:  # the lowest bits of activations are noise: deflate would cost time and gain little
                add_array(archive, str(number), np.ascontiguousarray(one, "<f4"))


@dataclass(frozen=True, slots=True)
class MapsFile:
    """The maps of a run, read one picture at a time: see `open_maps`."""

    path: Path
    archive: zipfile.ZipFile

    def read(self, number: int, k: int, signed: bool = False) -> Maps:
        """The maps `(k, h, w)` of a picture.

        The header is judged before the values are unpacked, and no more is unpacked than it says.

        Args:
            number: of the picture.
            k: how many maps it has.
            signed: whether values may be negative, as those of class maps.

        Raises:
            RefusedError: when they are damaged, or are not what a run writes.
        """
        try:
            entry = self.archive.getinfo(f"{number}.npy")
            with self.archive.open(entry) as file:
                content = file.read(LONGEST_HEADER)
                header = self._checked(read_header(content), entry, k)
                content += file.read(header.size - len(content))  # all of the entry, so zipfile checks its sum
        except DAMAGE as error:
            self._refuse(f"entry {number} cannot be read ({str(error)[:120] or type(error).__name__})", error)
        if len(content) != header.size:  # the archive's table was wrong, too
            self._refuse(f"entry {number} has {len(content)} bytes, and its header says {header.size}")
        values = values_of(content, header)
        if values.dtype == np.float32 and not (np.isfinite(values).all() and (signed or (values >= 0).all())):
            self._refuse(f"entry {number} holds values that are {'' if signed else 'negative or '}not finite")
        return values

    def _checked(self, header: Header | None, entry: zipfile.ZipInfo, k: int) -> Header:
        if header is None:
            self._refuse(f"{entry.filename} is no array of maps")
        if len(header.shape) != 3 or 0 in header.shape or header.shape[0] != k:
            self._refuse(f"{entry.filename} has the shape {header.shape}, and ({k}, height, width) is needed")
        if header.size != entry.file_size or header.size > LARGEST:
            self._refuse(f"{entry.filename} has the shape {header.shape} and {entry.file_size} bytes, which cannot be")
        return header

    def _refuse(self, found: str, cause: BaseException | None = None) -> NoReturn:
        raise RefusedError(f"{self.path}: {found}; make the run again") from cause


@contextmanager
def open_maps(path: Path, pictures: int) -> Iterator[MapsFile]:
    """Opens the maps of a run of so many pictures.

    Raises:
        RefusedError: when there is no such file, or it has not exactly one entry for each picture.
    """
    if not path.is_file():
        raise RefusedError(f"{path}: there is no such file; make the run again, which writes it")
    archive = _opened(path)
    with archive:
        found = MapsFile(path, archive)
        names = [entry.filename for entry in archive.infolist()]
        if sorted(names) != sorted(f"{number}.npy" for number in range(pictures)):
            found._refuse(f"has {len(names)} entries, and {pictures} are needed, 0.npy and so on")
        if any(entry.compress_type not in METHODS for entry in archive.infolist()):
            found._refuse("has entries that are packed as no run packs them")
        yield found


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as error:
        found = str(error)[:120] or type(error).__name__
        raise RefusedError(f"{path}: cannot be read as maps ({found}); make the run again") from error
