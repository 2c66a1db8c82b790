"""How many records a dataset has of each kind, kept by the database itself in ``RecordCount``.

Triggers write the counts in the transaction that writes the records, so no writer can forget them: SQLite counts row by
row, PostgreSQL once per statement, which makes a COPY of 10,000 rows one small aggregate. Altering the table of records
on SQLite makes it anew and loses its triggers, so they are looked for after every ``migrate``; where they were missing,
the counts are made again.
"""

from __future__ import annotations

from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from .models import COUNTED, Dataset, DatasetRecord, RecordCount

VERSION = 1  # raised with the triggers' text: others are replaced
_PREFIX = "record_count"
_EVENTS = ("insert", "update", "delete")
_RECORDS, _COUNTS = DatasetRecord._meta.db_table, RecordCount._meta.db_table
_KEYS = ", ".join(COUNTED)


def take_turn(dataset_id: int) -> None:
    """Called first in every transaction that writes records of the dataset: its writers then work one after another.

    So they cannot wait for each other's counts in a circle, and a record that two imports bring is new to the first
    only. An UPDATE holds the row until the commit on PostgreSQL; SQLite has one writer anyway.
    """
    Dataset.objects.filter(pk=dataset_id).update(name=F("name"))


def install(using: str = "default", **kwargs: Any) -> None:
    """Create the triggers where they are missing, and then count what is there; a receiver of ``post_migrate``."""
    connection = connections[using]
    tables = connection.introspection.table_names()
    if _RECORDS not in tables or _COUNTS not in tables:
        return  # migrated back to before there were counts
    wanted = {f"{_PREFIX}_{event}_{VERSION}" for event in _EVENTS}
    with connection.cursor() as cursor:
        cursor.execute(_FIND[connection.vendor], [f"{_PREFIX}\\_%", _RECORDS])
        found = {name for (name,) in cursor.fetchall()}
    if found == wanted:
        return
    with transaction.atomic(using), connection.cursor() as cursor:
        for name in sorted(found):
            cursor.execute(f"DROP TRIGGER {name}{'' if connection.vendor == 'sqlite' else f' ON {_RECORDS}'}")
        for statement in _for_sqlite() if connection.vendor == "sqlite" else _for_postgres():
            cursor.execute(statement)
        _recount(connection)


def _recount(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {_COUNTS}")
        cursor.execute(f"INSERT INTO {_COUNTS} ({_KEYS}, n) {_grouped(_RECORDS)}")


def _of(row: str) -> str:
    """The counted columns of a row; '' stands for the topic of a record that has none yet."""
    prefix = f"{row}." if row else ""
    return ", ".join(f"COALESCE({prefix}{name}, '')" if name == "topic" else f"{prefix}{name}" for name in COUNTED)


def _grouped(table: str) -> str:
    places = ", ".join(str(place) for place in range(1, len(COUNTED) + 1))
    return f"SELECT {_of('')}, COUNT(*) FROM {table} GROUP BY {places} ORDER BY {places}"


_FIND = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s ESCAPE '\\' AND tbl_name = %s",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgname LIKE %s AND tgrelid = %s::regclass",
}


def _for_sqlite() -> list[str]:
    more = f"""INSERT INTO {_COUNTS} ({_KEYS}, n) VALUES ({_of("NEW")}, 1)
        ON CONFLICT ({_KEYS}) DO UPDATE SET n = n + 1;"""
    less = f"""UPDATE {_COUNTS} SET n = n - 1 WHERE ({_KEYS}) = ({_of("OLD")});
        DELETE FROM {_COUNTS} WHERE ({_KEYS}) = ({_of("OLD")}) AND n = 0;"""
    changed = f"OF {_KEYS} ON {_RECORDS} WHEN ({_of('OLD')}) IS NOT ({_of('NEW')})"
    return [
        f"CREATE TRIGGER {_PREFIX}_{event}_{VERSION} AFTER {event.upper()} {where} BEGIN {body} END"
        for event, where, body in (
            ("insert", f"ON {_RECORDS}", more),
            ("update", changed, less + more),
            ("delete", f"ON {_RECORDS}", less),
        )
    ]


def _for_postgres() -> list[str]:
    """Statement triggers; each event gives its function the rows as they were, as they are, or both."""
    added = f"SELECT {_of('')}, 1 AS n FROM new_rows"
    removed = f"SELECT {_of('')}, -1 AS n FROM old_rows"
    statements = []
    for event, moved, rows in (
        ("insert", added, "NEW TABLE AS new_rows"),
        ("update", f"{added} UNION ALL {removed}", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        ("delete", removed, "OLD TABLE AS old_rows"),
    ):
        name = f"{_PREFIX}_{event}_{VERSION}"
        emptied = f"DELETE FROM {_COUNTS} WHERE n = 0 AND dataset_id IN (SELECT dataset_id FROM old_rows);"
        statements += [
            f"""CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            WITH moved ({_KEYS}, n) AS ({moved}),
            change AS MATERIALIZED (
                SELECT {_KEYS}, SUM(n) AS n FROM moved GROUP BY {_KEYS} HAVING SUM(n) <> 0 ORDER BY {_KEYS}
            ),
            fewer AS (
                UPDATE {_COUNTS} counted SET n = counted.n + change.n FROM change
                WHERE change.n < 0 AND {" AND ".join(f"counted.{key} = change.{key}" for key in COUNTED)}
            )
            INSERT INTO {_COUNTS} ({_KEYS}, n) SELECT {_KEYS}, n FROM change WHERE n > 0
            ON CONFLICT ({_KEYS}) DO UPDATE SET n = {_COUNTS}.n + excluded.n;
            {emptied if event != "insert" else ""}
            RETURN NULL;
            END $$""",
            f"""CREATE TRIGGER {name} AFTER {event.upper()} ON {_RECORDS} REFERENCING {rows}
            FOR EACH STATEMENT EXECUTE FUNCTION {name}()""",
        ]
    return statements
