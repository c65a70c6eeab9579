"""Migrations against a real Postgres: once each, in order, all or nothing, never changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from bytespike_runtime import pg
from bytespike_runtime.migrate import MigrationError, migrate
from bytespike_runtime.pg import PgUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_pre_things.sql", "CREATE TABLE things (id int); SELECT 1;")
    write(tmp_path, "0002_post_first_thing.sql", "INSERT INTO things VALUES (1);")
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(sql)


async def query(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await pg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(sql)
        return rows
    finally:
        await connection.close()


async def refused(url: str, folder: Path) -> str:
    with pytest.raises(MigrationError) as failure:
        await migrate(url, folder, service="shop")
    return str(failure.value)


async def test_files_are_applied_once_in_order(fresh_postgres_url: str, folder: Path) -> None:
    names = ["0001_pre_things.sql", "0002_post_first_thing.sql"]
    assert await migrate(fresh_postgres_url, folder, service="shop") == names
    assert await migrate(fresh_postgres_url, folder, service="shop") == []
    write(folder, "0003_pre_second_thing.sql", "INSERT INTO things VALUES (2);")
    assert await migrate(fresh_postgres_url, folder, service="shop") == [
        "0003_pre_second_thing.sql"
    ]
    assert len(await query(fresh_postgres_url, "SELECT * FROM things")) == 2


async def test_parallel_runs_apply_each_file_once(fresh_postgres_url: str, folder: Path) -> None:
    async with asyncio.TaskGroup() as group:
        runs = [
            group.create_task(migrate(fresh_postgres_url, folder, service="shop")) for _ in range(6)
        ]
    assert sorted(len(run.result()) for run in runs) == [0, 0, 0, 0, 0, 2]
    assert len(await query(fresh_postgres_url, "SELECT * FROM things")) == 1


async def test_services_number_their_files_apart(fresh_postgres_url: str, folder: Path) -> None:
    (folder / "other").mkdir()
    write(folder / "other", "0001_pre_others.sql", "CREATE TABLE others ();")
    async with asyncio.TaskGroup() as group:
        group.create_task(migrate(fresh_postgres_url, folder, service="shop"))
        group.create_task(migrate(fresh_postgres_url, folder / "other", service="bar"))
    rows = await query(fresh_postgres_url, "SELECT service, number FROM schema_migrations")
    assert sorted(map(tuple, rows)) == [("bar", 1), ("shop", 1), ("shop", 2)]


async def test_a_failing_file_leaves_nothing_behind(fresh_postgres_url: str, folder: Path) -> None:
    write(folder, "0003_pre_broken.sql", "INSERT INTO things VALUES (2); SELECT 1 / 0;")
    assert "0003_pre_broken.sql failed: division by zero" in await refused(
        fresh_postgres_url, folder
    )
    assert len(await query(fresh_postgres_url, "SELECT * FROM things")) == 1
    write(folder, "0003_pre_broken.sql", "INSERT INTO things VALUES (2);")
    assert await migrate(fresh_postgres_url, folder, service="shop") == ["0003_pre_broken.sql"]


async def test_a_file_that_ends_its_own_transaction_is_not_recorded(
    fresh_postgres_url: str, folder: Path
) -> None:
    write(folder, "0003_pre_sneaky.sql", "INSERT INTO things VALUES (2); COMMIT;")
    assert "0003_pre_sneaky.sql" in await refused(fresh_postgres_url, folder)
    rows = await query(fresh_postgres_url, "SELECT * FROM schema_migrations WHERE number = 3")
    assert rows == []


async def test_an_applied_file_must_not_change(fresh_postgres_url: str, folder: Path) -> None:
    await migrate(fresh_postgres_url, folder, service="shop")
    write(folder, "0001_pre_things.sql", "CREATE TABLE things (id bigint);")
    assert "was changed after it was applied" in await refused(fresh_postgres_url, folder)


async def test_an_applied_file_must_not_vanish(fresh_postgres_url: str, folder: Path) -> None:
    await migrate(fresh_postgres_url, folder, service="shop")
    (folder / "0002_post_first_thing.sql").unlink()
    assert "its file is missing" in await refused(fresh_postgres_url, folder)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("0004_pre_gap.sql", "expected number 0003"),
        ("0002_pre_twice.sql", "expected number 0003"),
        ("3_pre_short.sql", "is not named"),
        ("0003_during_lunch.sql", "is not named"),
    ],
)
async def test_names_are_strict(
    fresh_postgres_url: str, folder: Path, name: str, complaint: str
) -> None:
    write(folder, name, "SELECT 1;")
    assert complaint in await refused(fresh_postgres_url, folder)


async def test_a_migration_gives_way_to_the_service(fresh_postgres_url: str, folder: Path) -> None:
    """A table somebody works on is not waited for longer than the lock timeout."""
    await migrate(fresh_postgres_url, folder, service="shop")
    write(folder, "0003_pre_alter.sql", "ALTER TABLE things ADD COLUMN name text;")
    busy = await pg.connect(fresh_postgres_url)
    try:
        async with busy.transaction():
            await busy.execute("SELECT * FROM things")
            assert "lock timeout" in await refused(fresh_postgres_url, folder)
    finally:
        await busy.close()
    assert len(await migrate(fresh_postgres_url, folder, service="shop")) == 1


async def test_without_postgres_it_says_so(folder: Path) -> None:
    with pytest.raises(PgUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:1/none", folder, service="shop")


async def test_a_pool_opens_before_its_database_and_reports_it() -> None:
    pool = await pg.connect_pool("postgresql://nobody@127.0.0.1:1/none", min_size=0)
    with pytest.raises(PgUnavailable):
        await pg.ping(pool)
    await pool.close()


async def test_an_ended_session_is_unavailable_and_the_next_one_works(
    fresh_postgres_url: str,
) -> None:
    pool = await pg.connect_pool(fresh_postgres_url, max_size=1)
    try:
        with pytest.raises(PgUnavailable):
            async with pg.connection(pool) as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        await pg.ping(pool)
        with pytest.raises(asyncpg.exceptions.UndefinedTableError):
            async with pg.connection(pool) as connection:
                await connection.execute("SELECT * FROM no_such_table")
    finally:
        await pool.close()
