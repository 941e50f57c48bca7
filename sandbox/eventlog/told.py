"""Rows against what the log last told of them: SQL for the checks of the slices that own them.

The log is signed, so a row that somebody altered contradicts it, and so does one that was removed
or made up.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

# Of two events of one object the later in the log counts; what waits for a position comes last.
_AT: Final = (
    "to_char(coalesce(l.epoch * 10::numeric ^ 12 + l.position, 10::numeric ^ 22 + q.id, 0),"
    " 'FM0000000000000000000000000')"
)
# What is no leaf any more is for the tree's check to name, and must not stop the others.
LEAF: Final = (
    "CASE WHEN l.event_id IS NULL OR l.leaf_hash = sha256('\\x00' || e.leaf)"
    " THEN convert_from(e.leaf, 'UTF8')::json END"
)


@dataclass(frozen=True, slots=True)
class Told:
    """A table whose rows the events of `types` (LIKE patterns) tell.

    `columns`: field of the told object → SQL of the row `r` (null compares as null); a column of
    `private` stands outside the leaf, under one of these paths. `key` is SQL of the row's primary
    key, `told_key` of the object's, `o`. `objects` are JSON objects found in the leaf's data `d`;
    which of them count says `which`, which rows must have been told says `rows`; with `may_go` a
    row may be removed.
    """

    table: str
    types: tuple[str, ...]
    columns: Mapping[str, str]
    private: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key: str = "r.id"
    told_key: str = "o.id"
    fields: tuple[str, ...] = ("id",)
    objects: str = "SELECT d AS object"
    which: str = "true"
    rows: str = "true"
    may_go: bool = False

    @property
    def statement(self) -> str:
        """A SELECT of (name, fault) for `core.checks.find_faults`."""
        wanted = dict.fromkeys((*self.fields, *self.columns))
        differs = [
            f"CASE WHEN ({row})::text IS DISTINCT FROM o.{name} THEN '{name}' END"
            for name, row in self.columns.items()
        ] + [
            f"CASE WHEN r.{name} IS DISTINCT FROM coalesce("
            + ", ".join(f"private ->> '{path}'" for path in paths)
            + f") THEN '{name}' END"
            for name, paths in self.private.items()
        ]
        gone = "NULL" if self.may_go else "'is missing, ' || event || ' tells of it'"
        types = ", ".join(f"'{pattern}'" for pattern in self.types)
        return f"""
SELECT '{self.table} ' || coalesce({self.key}, newest.key) AS name, CASE
    WHEN {self.key} IS NULL THEN {gone}
    WHEN newest.key IS NULL AND ({self.rows}) THEN 'no event tells of it'
    WHEN fields <> '' THEN 'is not as ' || event || ' tells: ' || fields
END AS fault
FROM (
    SELECT key, split_part(word, ' ', 2) AS event, split_part(word, ' ', 3) AS fields FROM (
        SELECT {self.told_key} AS key, max((at || ' ' || event || ' '
            || concat_ws(',', {", ".join(differs)})) COLLATE "C") AS word
        FROM (
            SELECT e.id AS event, e.private, {_AT} AS at, ({LEAF}) -> 'data' AS d
            FROM event e LEFT JOIN log_entry l ON l.event_id = e.id
            LEFT JOIN event_queue q ON q.event_id = e.id
            WHERE e.type LIKE ANY (ARRAY[{types}])
            OFFSET 0 -- or each use of `d` would parse the leaf again
        ) AS told CROSS JOIN LATERAL ({self.objects}) AS found
        CROSS JOIN LATERAL json_to_record(found.object)
            AS o({", ".join(f"{name} text" for name in wanted)})
        LEFT JOIN {self.table} r ON {self.key} = {self.told_key}
        WHERE found.object IS NOT NULL AND {self.which}
        GROUP BY 1
    ) AS words
) AS newest FULL JOIN {self.table} r ON {self.key} = newest.key
"""  # noqa: S608 - SQL of our own


def moment(column: str) -> str:
    """SQL of a moment as the log writes it."""
    return f"to_char(r.{column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"


def as_told(*tables: Told) -> str:
    """One statement over several tables, so over one snapshot."""
    return " UNION ALL ".join(f"({table.statement})" for table in tables)
