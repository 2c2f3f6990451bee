"""What goes into an index comes out of it, whatever keeps it."""

from __future__ import annotations

import numpy as np
import pytest
from made_entries import DIMENSIONS, entry, held, identity_of, ids_by_path, written_down

from dff_onnx.errors import StoreError, UsageError
from dff_onnx.records import Box
from dff_onnx.store import Entry, Stamp, check_not_empty

HOSTILE = [
    "a/b.jpg",
    "=cmd.jpg",
    "new\nline.jpg",
    "'; DROP TABLE images; --.jpg",
    "invalid\udcff.jpg",
    "ünï.jpg",
    "a.jpg",
]


def test_what_is_put_is_found_again(place) -> None:
    entries = [entry(name, regions=number, label="herd" if number else None) for number, name in enumerate(HOSTILE)]
    with place.write(identity_of()) as store:
        store.put(entries)
        assert held(store) == written_down(entries)
    with place.open() as store:
        assert held(store) == written_down(entries)
        assert store.identity == identity_of() and store.check() == ()


def test_paths_come_sorted_by_their_bytes(place) -> None:
    with place.write(identity_of()) as store:
        store.put([entry(name) for name in reversed(HOSTILE)])
        assert list(store.stamps()) == sorted(HOSTILE, key=lambda name: name.encode("utf-8", "surrogateescape"))


def test_a_path_put_again_replaces_what_was_there(place) -> None:
    with place.write(identity_of()) as store:
        store.put([entry("a.jpg", regions=3), entry("b.jpg", regions=2)])
        before = ids_by_path(store)
        store.put([entry("a.jpg", seed=1, regions=1), entry("c.jpg")])
        assert held(store) == written_down(
            [entry("a.jpg", seed=1, regions=1), entry("b.jpg", regions=2), entry("c.jpg")]
        )
        assert ids_by_path(store)["b.jpg"] == before["b.jpg"] and ids_by_path(store)["a.jpg"] > before["b.jpg"]
        assert store.check() == ()


def test_what_was_deleted_is_gone_and_its_id_is_never_used_again(place) -> None:
    with place.write(identity_of()) as store:
        store.put([entry("a.jpg", regions=1), entry("b.jpg", regions=2)])
        old = ids_by_path(store)["b.jpg"]
        old_region = store.regions_of(old)[0].id
        assert store.delete(["b.jpg", "never there.jpg"]) == 1
        assert held(store) == written_down([entry("a.jpg", regions=1)])
        assert store.find("b.jpg") is None and store.regions_of(old) == []
        for ask in (store.images, lambda ids: store.vectors("images", ids)):
            with pytest.raises(StoreError, match=rf"no .*id {old}.*or no longer"):
                ask([old])
        for ask in (store.regions, lambda ids: store.vectors("regions", ids)):
            with pytest.raises(StoreError, match=rf"no .*id {old_region}.*or no longer"):
                ask([old_region])
        store.put([entry("b.jpg", seed=2, regions=2)])
        assert ids_by_path(store)["b.jpg"] > old and store.regions_of(ids_by_path(store)["b.jpg"])[0].id > old_region
        assert store.check() == ()


def test_an_index_emptied_by_deleting_takes_images_again(place) -> None:
    with place.write(identity_of()) as store:
        store.put([entry("a.jpg", regions=1)])
        first = ids_by_path(store)["a.jpg"]
        store.delete(["a.jpg"])
        store.compact()
        assert held(store) == {} and store.check() == ()
    with place.write(identity_of()) as store:
        store.put([entry("a.jpg")])
        assert ids_by_path(store)["a.jpg"] > first


def test_vectors_come_in_the_order_asked_for(place) -> None:
    names = [f"{number:03}.jpg" for number in range(50)]
    with place.write(identity_of(), 64) as store:
        store.put([entry(name) for name in names])
        numbers = ids_by_path(store)
        asked = [names[i] for i in (30, 2, 49, 2, 0)]
        found = store.vectors("images", [numbers[name] for name in asked])
        assert found.tolist() == [entry(name).vector.tolist() for name in asked] and found.dtype == np.float16
        assert [record.path for record in store.images([numbers[name] for name in asked])] == asked
        assert store.vectors("regions", []).shape == (0, DIMENSIONS) and store.images([]) == []


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_keep_every_bit_of_their_type(place, dtype) -> None:
    rows = np.random.default_rng(0).standard_normal((40, DIMENSIONS)).astype(dtype)
    with place.write(identity_of(dtype=dtype)) as store:
        store.put([Entry(f"{i:02}.jpg", Stamp(i, ""), row) for i, row in enumerate(rows)])
        found = np.concatenate([block.vectors for block in store.blocks("images")])
        assert found.dtype == dtype and (found == rows).all()


def test_large_batches_and_small_ones_make_the_same_index(place) -> None:
    entries = [entry(f"{number:03}.jpg", regions=number % 3) for number in range(150)]
    other = place.fresh()
    with place.write(identity_of(), 64) as store, other.write(identity_of(), 64) as one_by_one:
        store.put(entries)
        for start in range(0, 150, 7):
            one_by_one.put(entries[start : start + 7])
        assert held(store) == held(one_by_one) == written_down(entries)
        assert list(ids_by_path(store).values()) == list(ids_by_path(one_by_one).values())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda e: Entry(e.path, e.stamp, e.vector[:-1]), r"shape \(5,\), and \(6,\)"),
        (lambda e: Entry(e.path, e.stamp, e.vector, e.vector[None, :2], [Box(0, 0, 1, 1)], [1.0]), "regions have"),
        (lambda e: Entry(e.path, e.stamp, e.vector, e.vector[None]), "1 regions, 0 boxes and 0 scores"),
        (lambda e: Entry(e.path, e.stamp, e.vector, e.vector[None], [Box(3, 0, 3, 1)], [1.0]), "boxes is none"),
        (lambda e: Entry(e.path, e.stamp, e.vector, e.vector[None], [Box(0, 0, 3, 1)], [np.nan]), "scores"),
        (lambda e: Entry(e.path, e.stamp, np.full(6, 7e4)), "float16 cannot hold"),
        (lambda e: Entry(e.path, e.stamp, e.vector * np.nan), "bad.jpg.*float16 cannot hold"),
        (lambda e: Entry(e.path, Stamp(-1, ""), e.vector), "size of -1"),
        (lambda e: Entry(e.path, e.stamp, e.vector, label="half \ud800"), "cannot be stored"),
        (lambda e: Entry(e.path, e.stamp, e.vector, label="nul \0"), "cannot be stored"),
        (lambda e: Entry("good.jpg", e.stamp, e.vector), "good.jpg: is in one batch twice"),
        *(
            (lambda e, p=p: Entry(p, e.stamp, e.vector), "not one below a folder")
            for p in ("", "/x", "a/../../b", "\0")
        ),
    ],
)
def test_a_batch_with_one_wrong_entry_changes_nothing(place, wrong, why) -> None:
    with place.write(identity_of()) as store:
        store.put([entry("old.jpg")])
        before = store.state()
        with pytest.raises(UsageError, match=why):
            store.put([entry("good.jpg"), wrong(entry("bad.jpg"))])
        assert held(store) == written_down([entry("old.jpg")]) and store.state() == before


def test_bytes_can_be_kept_beside_the_vectors(place) -> None:
    with place.write(identity_of()) as store:
        assert store.attachment("whitening") is None
        store.attach("whitening", b"\0first")
        store.attach("whitening", bytes(range(256)))
    with place.open() as store:
        assert store.attachment("whitening") == bytes(range(256)) and store.check() == ()


def test_every_change_gives_another_state_and_nothing_else_does(place) -> None:
    with place.write(identity_of()) as store:
        seen = [store.state()]
        for change in (
            lambda: store.put([entry("a.jpg")]),
            lambda: store.put([entry("a.jpg", seed=1)]),
            lambda: store.delete(["a.jpg"]),
        ):
            change()
            seen.append(store.state())
        assert len(set(seen)) == 4
        store.put([])
        store.delete(["unknown.jpg"])
        store.compact()
        store.attach("a", b"b")
        assert store.state() == seen[-1]


def test_equal_histories_give_equal_states(place) -> None:
    states = []
    for seed in (0, 0, 1):
        with place.fresh().write(identity_of()) as store:
            store.put([entry("a.jpg", seed=seed, regions=1), entry("b.jpg", label="herd")])
            states.append(store.state())
    assert states[0] == states[1] != states[2]


def test_an_empty_index_says_so(place) -> None:
    with place.write(identity_of()) as store:
        assert held(store) == {} and list(store.blocks("regions")) == [] and store.check() == ()
        with pytest.raises(StoreError, match="holds no images yet; `dff-onnx index"):
            check_not_empty(store)
        store.put([entry("a.jpg")])
        check_not_empty(store)
        with pytest.raises(StoreError, match="holds no regions of its 1 images"):
            check_not_empty(store, "regions")
