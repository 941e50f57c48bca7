"""Alembic migrations, one file per slice, run as the owner of the database."""

from alembic import command
from alembic.config import Config

from sandbox.core.db import async_url


def config(url: str) -> Config:
    """The Alembic configuration for one database URL (of its owner)."""
    made = Config()
    made.set_main_option("script_location", "sandbox:migrations")
    made.attributes["url"] = async_url(url)
    return made


def upgrade(url: str) -> None:
    """Bring the database at `url` (owner's URL, `postgresql://…`) to the newest version.

    Runs its own event loop; from async code call it in a thread.
    """
    command.upgrade(config(url), "head")
