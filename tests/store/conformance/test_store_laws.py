"""Whatever is put, replaced and deleted, an index holds what a dict would."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_entries import entry, held, identity_of, written_down

NAMES = st.sampled_from([f"{number}.jpg" for number in range(12)])
PUT = st.tuples(st.just("put"), st.lists(st.tuples(NAMES, st.integers(0, 3)), max_size=9, unique_by=lambda x: x[0]))
STEPS = st.one_of(
    PUT,
    PUT,
    st.tuples(st.just("delete"), st.lists(NAMES, max_size=6)),
    st.tuples(st.sampled_from(["compact", "reopen"]), st.none()),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=12), rows=st.integers(1, 5))
def test_an_index_is_a_dict(place, steps, rows) -> None:
    there = place.fresh()
    store = there.write(identity_of(), rows)
    model = {}
    for number, (step, names) in enumerate(steps):
        if step == "put":
            made = [entry(name, seed=number, regions=regions) for name, regions in names]
            store.put(made)
            model |= {e.path: e for e in made}
        elif step == "delete":
            assert store.delete(names) == len(model.keys() & set(names))
            model = {path: e for path, e in model.items() if path not in names}
        elif step == "compact":
            store.compact()
        else:
            store.close()
            store = there.write(identity_of(), rows)
        assert held(store) == written_down(list(model.values()))
    assert store.check() == ()
    store.close()


@pytest.mark.parametrize("rows", [1, 7, 64, 4096])
def test_blocks_of_any_size_give_the_same_answer(place, rows) -> None:
    entries = [entry(f"{number:03}.jpg") for number in range(150)]
    matrix = np.stack([e.vector for e in entries])
    with place.write(identity_of(), rows) as store:
        for start in range(0, 150, 40):
            store.put(entries[start : start + 40])
        for query in range(0, 150, 30):
            found = [record.path for record in store.images(nearest(store.blocks("images"), matrix[query], 9))]
            wanted = np.argsort(-(matrix @ matrix[query]), kind="stable")[:9]
            assert found == [entries[place].path for place in wanted]


def nearest(blocks, query, k) -> list[int]:
    best: list[tuple[float, int]] = []
    for block in blocks:
        products = block.vectors.astype(np.float32) @ query
        best = sorted(best + list(zip((-products).tolist(), block.ids.tolist(), strict=True)))[:k]
    return [number for _, number in best]
