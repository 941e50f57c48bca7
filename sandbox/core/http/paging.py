"""Lists as CONTRACT 8 fixes them: newest first, cursors by id."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select, SQLColumnExpression

_Rows = TypeVar("_Rows", bound=Select[Any])


class Page(BaseModel):
    """Which part of a list: `starting_after` goes to older objects, `ending_before` to newer."""

    limit: int
    starting_after: str | None
    ending_before: str | None

    def clause(self, column: str = "id") -> tuple[str, str, dict[str, Any]]:
        """(`AND …` condition, `ORDER BY … LIMIT …`, parameters) for a table with sortable ids.

        One row more than `limit` is asked for, so that `listing` can tell whether more follow.
        """
        values: dict[str, Any] = {"page_limit": self.limit + 1}
        if self.ending_before is not None:
            values["page_id"] = self.ending_before
            return f" AND {column} > :page_id", f" ORDER BY {column} ASC LIMIT :page_limit", values
        condition = ""
        if self.starting_after is not None:
            values["page_id"] = self.starting_after
            condition = f" AND {column} < :page_id"
        return condition, f" ORDER BY {column} DESC LIMIT :page_limit", values

    def of(self, found: _Rows, id_: SQLColumnExpression[str]) -> _Rows:
        """The same for a SELECT: its rows of this part of the list, by their sortable id."""
        found = found.limit(self.limit + 1)
        if self.ending_before is not None:
            return found.where(id_ > self.ending_before).order_by(id_)
        if self.starting_after is not None:
            found = found.where(id_ < self.starting_after)
        return found.order_by(id_.desc())


def _page(
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    starting_after: Annotated[str | None, Query(max_length=64)] = None,
    ending_before: Annotated[str | None, Query(max_length=64)] = None,
) -> Page:
    return Page(limit=limit, starting_after=starting_after, ending_before=ending_before)


PageDep = Annotated[Page, Depends(_page)]


def listing(page: Page, rows: Sequence[Any]) -> dict[str, Any]:
    """The list object for rows fetched by `clause` or `of`, already rendered, in that order."""
    has_more = len(rows) > page.limit
    data = list(rows[: page.limit])
    if page.ending_before is not None:
        data.reverse()
    return {"object": "list", "data": data, "has_more": has_more}
