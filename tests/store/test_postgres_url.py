"""Addresses of servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_entries import identity_of

from dff_onnx.errors import UsageError
from dff_onnx.store import SqliteStore, open_store, write_store
from dff_onnx.store.postgres_url import is_postgres, parse_postgres


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGUSER", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)


def test_an_address_names_all_that_is_needed() -> None:
    found = parse_postgres("postgresql://ann:se%40cret@db.example:5433/pictures?schema=photos&sslmode=require")
    assert (found.user, found.password, found.host, found.port) == ("ann", "se@cret", "db.example", 5433)
    assert (found.database, found.schema, found.tls) == ("pictures", "photos", "require")


def test_what_is_left_out_is_the_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parse_postgres("postgresql://")
    assert (found.user, found.password, found.host, found.port) == ("postgres", None, "localhost", 5432)
    assert (found.database, found.schema, found.tls) == ("postgres", "dff_onnx", "prefer")
    monkeypatch.setenv("PGUSER", "ann")
    monkeypatch.setenv("PGPASSWORD", "secret")
    assert (parse_postgres("postgres://").user, parse_postgres("postgres://").password) == ("ann", "secret")


def test_a_host_may_be_the_folder_of_a_socket() -> None:
    found = parse_postgres("postgresql://ann:@/pictures?host=/run/pg&port=5555")
    assert (found.host, found.port) == ("/run/pg", 5555)
    assert found.shown == "postgresql://ann@/pictures?schema=dff_onnx"


def test_a_password_is_never_shown() -> None:
    found = parse_postgres("postgresql://ann:secret@db.example/pictures")
    assert "secret" not in found.shown and "secret" not in repr(found)
    for wrong in ("?schema=Bad", "?more=1", "?sslmode=maybe", "#part", "?schema"):
        with pytest.raises(UsageError) as refused:
            parse_postgres("postgresql://ann:secret@db.example/pictures" + wrong)
        assert "secret" not in str(refused.value)
    with pytest.raises(UsageError, match="cannot be read") as refused:
        parse_postgres("postgresql://ann:secret@db.example:port/pictures")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("schema", ["Photos", "a-b", "a;drop", "pg_catalog", "1a", "x" * 64, "a b", "ä"])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    with pytest.raises(UsageError, match="lower-case letters, digits and _"):
        parse_postgres(f"postgresql://h/d?schema={schema.replace(';', '%3B').replace(' ', '%20')}")


def test_files_are_told_from_servers(tmp_path: Path) -> None:
    assert is_postgres("postgres://x") and is_postgres("postgresql://x/y")
    assert not is_postgres("postgresql") and not is_postgres("a/postgresql:/x") and not is_postgres("mysql://x")
    with write_store(tmp_path / "index.db", identity_of()) as store:
        assert isinstance(store, SqliteStore)
    with open_store(str(tmp_path / "index.db")) as store:
        assert isinstance(store, SqliteStore) and store.identity == identity_of()
