"""Who may open an index, and what readers see while it is written."""

from __future__ import annotations

import os

import numpy as np
import pytest
from made_entries import entry, held, identity_of, written_down

from dff_onnx.errors import OutputError, StoreError, UsageError


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (identity_of(descriptor="rmac"), "descriptor: 'dff' there, 'rmac' now"),
        (identity_of(layer="relu4_4"), "fingerprint.layer: 'relu5_4' there, 'relu4_4' now"),
        (identity_of(dimensions=7), "dimensions: 6 there, 7 now"),
        (identity_of(dtype="float32"), "dtype: 'float16' there, 'float32' now"),
    ],
)
def test_an_index_of_another_identity_is_refused_with_what_differs(place, other, told) -> None:
    with place.write(identity_of()) as store:
        store.put([entry("a.jpg")])
    with pytest.raises(StoreError) as refused:
        place.write(other)
    assert f"({told})" in str(refused.value)
    with place.open() as store:
        assert held(store) == written_down([entry("a.jpg")])


def test_a_second_writer_is_refused_with_the_firsts_process_named(place) -> None:
    with place.write(identity_of()), pytest.raises(OutputError, match=rf"written by .*process {os.getpid()}\b"):
        place.write(identity_of())
    for _ in range(5):
        place.write(identity_of()).close()  # nothing lingers


def test_a_reader_cannot_write(place) -> None:
    place.write(identity_of()).close()
    with place.open() as store:
        for change in (
            lambda: store.put([entry("a.jpg")]),
            lambda: store.delete(["a.jpg"]),
            lambda: store.attach("a", b""),
            store.compact,
        ):
            with pytest.raises(UsageError, match="opened to be read"):
                change()


def test_readers_see_whole_batches_beside_a_writer(place) -> None:
    with place.write(identity_of(), 64) as writer:
        writer.put([entry(f"{n:03}.jpg") for n in range(200)])
        with place.open() as first, place.open() as second:
            blocks = first.blocks("images")
            seen = [next(blocks)]
            writer.delete([f"{n:03}.jpg" for n in range(100, 200)])
            writer.put([entry(f"{n:03}.jpg", seed=1) for n in range(50)])
            seen += blocks
            ids = np.concatenate([block.ids for block in seen])
            assert len(ids) == len(set(ids.tolist())) == 200  # the state in which it began
            assert second.counts().images == first.counts().images == 100


def test_a_batch_that_fails_half_way_leaves_nothing(place, monkeypatch) -> None:
    import dff_onnx.store.entries as entries

    with place.write(identity_of()) as store:
        store.put([entry("a.jpg", regions=2)])
        broken = entry("b.jpg", regions=2)
        monkeypatch.setattr(entries, "_check", lambda *_: None)
        object.__setattr__(broken, "boxes", broken.boxes[:1])  # noticed after the first rows were written
        with pytest.raises((StoreError, ValueError)):
            store.put([entry("a.jpg", seed=1), broken])
        assert held(store) == written_down([entry("a.jpg", regions=2)]) and store.check() == ()


def test_closing_twice_does_nothing(place) -> None:
    store = place.write(identity_of())
    store.close()
    store.close()
