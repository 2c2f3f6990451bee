"""What only a server can do: go away, refuse, hold something else, search by a graph."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_entries import entry, held, identity_of, written_down

import dff_onnx.store.postgres_connection as connection
from dff_onnx.errors import NetworkError, OutputError, StoreError, UsageError
from dff_onnx.store import Entry, PostgresStore, Stamp, open_store, write_store
from dff_onnx.store.faiss_side import recall
from dff_onnx.store.postgres_connection import Postgres
from dff_onnx.store.postgres_nearest import Hnsw, PostgresNearest
from dff_onnx.store.postgres_url import parse_postgres

NUMBERS = itertools.count()
ADDING = Path(__file__).with_name("adding_to_server.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(server: Any) -> str:
    return f"{server.get_uri()}&schema=alone_{next(NUMBERS)}"


@pytest.fixture
def admin(server: Any):
    connection = Postgres(parse_postgres(server.get_uri()))
    yield connection
    connection.close()


def test_an_address_opens_the_server(url: str) -> None:
    with write_store(url, identity_of()) as store:
        assert isinstance(store, PostgresStore)
        store.put([entry("a.jpg")])
    with open_store(url) as store:
        assert held(store) == written_down([entry("a.jpg")])


def test_there_must_be_an_index(url: str) -> None:
    with pytest.raises(UsageError, match=r"schema=alone_\d+: there is no index; `dff-onnx index` makes one"):
        PostgresStore.open(url)


def test_a_schema_of_another_program_is_refused_and_left_as_it_is(url: str, admin: Postgres) -> None:
    schema = parse_postgres(url).schema
    admin.run(f"CREATE SCHEMA {schema}")
    admin.run(f"CREATE TABLE {schema}.notes (text text)")
    for door in (lambda: PostgresStore.open(url), lambda: PostgresStore.write(url, identity_of())):
        with pytest.raises(StoreError, match="other tables than an index has; name another schema"):
            door()
    assert admin.run(f"SELECT count(*) FROM {schema}.notes") == [[0]]


def test_an_index_of_another_version_or_without_identity_is_refused(url: str, admin: Postgres) -> None:
    PostgresStore.write(url, identity_of()).close()
    schema = parse_postgres(url).schema
    admin.run(f"UPDATE {schema}.about SET value = '{{}}' WHERE name = 'identity'")
    with pytest.raises(StoreError, match="identity cannot be read"):
        PostgresStore.open(url)
    admin.run(f"UPDATE {schema}.about SET value = 'other' WHERE name = 'format'")
    with pytest.raises(StoreError, match="other tables"):
        PostgresStore.open(url)


@pytest.mark.usefixtures("postgres_here")
def test_a_server_that_is_not_there_is_told_of_without_the_password(tmp_path: Path) -> None:
    for where in ("localhost:1", f"?host={tmp_path}"):
        with pytest.raises(NetworkError, match="went away or is not there") as error:
            PostgresStore.open(
                f"postgresql://ann:secret@{where.partition('?')[0]}/x?{where.partition('?')[2]}".rstrip("?")
            )
        assert "secret" not in str(error.value) and error.value.exit_code == 8


@pytest.mark.usefixtures("postgres_here")
def test_a_server_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NetworkError, match="is not there"):
        PostgresStore.open(f"postgresql://ann@127.0.0.1:{silent.getsockname()[1]}/x?sslmode=disable")


def test_a_statement_may_take_longer_than_connecting(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 2.0)
    slow = Postgres(parse_postgres(server.get_uri()))
    assert slow.run("SELECT 1 FROM pg_sleep(2.5)") == [[1]]
    slow.close()


def test_a_database_that_is_not_there_is_told_of(server: Any) -> None:
    with pytest.raises(NetworkError, match='server says: database "nowhere" does not exist'):
        PostgresStore.open(server.get_uri().replace("/postgres?", "/nowhere?"))


def test_a_user_who_may_not_write_is_told_so(url: str, admin: Postgres) -> None:
    admin.run("DROP ROLE IF EXISTS reader")
    admin.run("CREATE ROLE reader LOGIN")
    as_reader = url.replace("postgres:@", "reader:@")
    PostgresStore.write(url, identity_of()).close()
    with pytest.raises(OutputError, match="this user may not write there"):
        PostgresStore.write(as_reader.replace("alone", "other"), identity_of())
    schema = parse_postgres(url).schema
    admin.run(f"GRANT USAGE ON SCHEMA {schema} TO reader")
    admin.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    with PostgresStore.open(as_reader) as store:
        assert held(store) == {}
    store = PostgresStore.write(as_reader, identity_of())
    with pytest.raises(OutputError, match=r"may not write there .*permission denied"):
        store.put([entry("a.jpg")])
    store.close()
    admin.run("DROP OWNED BY reader")
    admin.run("DROP ROLE reader")


def test_a_connection_that_ends_in_the_middle_of_a_batch_leaves_nothing(
    url: str, admin: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_in = Postgres.copy_in

    def cut_off(self: Postgres, table: str, data: bytes) -> None:
        copy_in(self, table, data)
        if ".images" in table:
            admin.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dff-onnx%' "
                "AND pid <> pg_backend_pid()"
            )

    store = PostgresStore.write(url, identity_of())
    store.put([entry("a.jpg", regions=2)])
    monkeypatch.setattr(Postgres, "copy_in", cut_off)
    with pytest.raises(NetworkError, match="run the command again") as error:
        store.put([entry("a.jpg", seed=1, regions=1), entry("b.jpg", regions=1)])
    assert error.value.exit_code == 8
    monkeypatch.undo()
    with pytest.raises(NetworkError):
        store.put([entry("c.jpg")])
    store.close()
    with PostgresStore.write(url, identity_of()) as again:
        assert held(again) == written_down([entry("a.jpg", regions=2)])
        again.put([entry("a.jpg", seed=1, regions=1), entry("b.jpg", regions=1)])
        assert again.check() == ()


def test_a_server_that_crashes_under_a_writer_keeps_every_batch_that_was_told(server: Any, url: str) -> None:
    with adding(url) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(5)][-1]
        os.kill(server.get_pid(), signal.SIGQUIT)  # at once, without saying goodbye
        rest = [int(line) for line in process.stdout]
        words = process.stderr.read() if process.stderr else ""
    assert process.returncode == 1 and "NetworkError" in words
    server.ensure_postgres_running()
    judge(url, at_least=max([told, *rest]))


def test_a_writer_that_is_killed_leaves_whole_batches_and_no_lock(url: str) -> None:
    for _ in range(3):
        with adding(url) as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(4)][-1]
            process.send_signal(signal.SIGKILL)
        judge(url, at_least=told)


def adding(url: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(ROOT), str(ADDING.parent), *sys.path])
    return subprocess.Popen(
        [sys.executable, str(ADDING), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )


def judge(url: str, at_least: int) -> None:
    """The first images, all of them whole, no fewer than were told of."""
    with PostgresStore.open(url) as store:
        count = store.counts().images
        assert count >= at_least and count % 7 == 0
        assert held(store) == written_down([entry(f"{n:05}.jpg", regions=n % 3) for n in range(count)])


@pytest.mark.parametrize(
    ("dtype", "dimensions", "column"),
    [("float16", 8, "halfvec(8)"), ("float32", 8, "vector(8)"), ("float32", 2048, "vector(2048)"),
     ("float16", 4000, "halfvec(4000)"), ("float32", 4001, "vector(4001)")],
)  # fmt: skip
def test_vectors_are_stored_whole_and_indexed_as_halves_where_they_are_too_long(
    url: str, admin: Postgres, dtype: Any, dimensions: int, column: str
) -> None:
    rows = np.random.default_rng(0).standard_normal((60, dimensions))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(dtype)
    schema = parse_postgres(url).schema
    with PostgresStore.write(url, identity_of(dtype=dtype, dimensions=dimensions)) as store:
        store.put([Entry(f"{n:02}.jpg", Stamp(n, ""), row) for n, row in enumerate(rows)])
        assert (np.concatenate([block.vectors for block in store.blocks("images")]) == rows).all()
        found = admin.run(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            f"WHERE attrelid = '{schema}.images'::regclass AND attname = 'vector'"
        )
        assert found == [[column]]
        if dimensions > 4000:
            with pytest.raises(UsageError, match="a graph takes 4000 dimensions at most"):
                PostgresNearest(store)
            return
        nearest = PostgresNearest(store)
        nearest.build(Hnsw(8, 32))
        assert (nearest(rows[:5] * 2, 3)[:, 0] == [1, 2, 3, 4, 5]).all()
        nearest.close()


def test_a_graph_finds_most_and_follows_what_is_put_and_deleted(url: str, admin: Postgres) -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, 32))
    rows = (centres[np.arange(2000) % 50] + 0.3 * rng.standard_normal((2000, 32))).astype(np.float16)
    with PostgresStore.write(url, identity_of(dimensions=32)) as store:
        store.put([Entry(f"{n:04}.jpg", Stamp(n, ""), row) for n, row in enumerate(rows)])
        nearest = PostgresNearest(store)
        nearest.build()
        queries = rows[::100].astype(np.float32)
        exact = 1 + np.argsort(-(queries @ rows.astype(np.float32).T), kind="stable")[:, :10]
        admin.run("ANALYZE")
        assert recall(nearest(queries, 10, effort=200), exact) > 0.9
        best = store.images([int(exact[0, 0])])[0].path
        store.delete([best])
        assert exact[0, 0] not in nearest(queries[:1], 10)
        store.put([Entry("new.jpg", Stamp(0, ""), queries[0] * 4)])
        assert store.images([int(nearest(queries[:1], 1)[0, 0])])[0].path == "new.jpg"
        assert (nearest(queries[:1], 1000, effort=1000)[0] >= -1).all()
        for k, effort in ((0, 10), (1001, 1001), (50, 40)):
            with pytest.raises(UsageError, match="k <= effort <= 1000"):
                nearest(queries, k, effort)
        nearest.close()
    for links, effort in ((1, 64), (101, 400), (16, 31), (16, 1001)):
        with pytest.raises(UsageError, match="2 to 100 links"):
            Hnsw(links, effort)


def test_a_search_really_goes_by_the_graph(url: str, admin: Postgres) -> None:
    with PostgresStore.write(url, identity_of(dtype="float32", dimensions=2048)) as store:
        store.put([entry(f"{n:04}.jpg", dimensions=2048) for n in range(200)])
        nearest = PostgresNearest(store)
        nearest.build()
        nearest.close()
    schema = parse_postgres(url).schema
    query = f"CAST('{[1.0] * 2048}' AS halfvec(2048))"
    admin.run("SET enable_seqscan = off")
    plan = admin.run(f"EXPLAIN SELECT id FROM {schema}.images ORDER BY (vector::halfvec(2048)) <#> {query} LIMIT 3")
    assert any("nearest_images" in line for (line,) in plan)


def test_tables_that_another_program_holds_locked_are_told_of(
    url: str, admin: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_PATIENCE", 1)
    with PostgresStore.write(url, identity_of()) as store:
        schema = parse_postgres(url).schema
        with admin.transaction():
            admin.run(f"LOCK TABLE {schema}.images IN EXCLUSIVE MODE")
            with pytest.raises(OutputError, match="another program holds its tables locked"):
                store.put([entry("a.jpg")])
        store.put([entry("a.jpg")])


def test_a_reader_finds_a_path_that_leads_out_of_the_folder(url: str, admin: Postgres) -> None:
    with PostgresStore.write(url, identity_of()) as store:
        store.put([entry("a.jpg")])
        admin.run(f"UPDATE {parse_postgres(url).schema}.images SET path = 'a/../../b'")
        with pytest.raises(StoreError, match=r"holds the path 'a/\.\./\.\./b'"):
            store.stamps()
        assert "which is none below a folder" in store.check()[0]
