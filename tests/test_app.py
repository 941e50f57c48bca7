"""The application as a whole: its routes, its document, its migrations."""

import importlib.util
import pkgutil

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

import sandbox
from sandbox.app import create_app, routes_of
from sandbox.core.db import Database
from sandbox.core.http.roles import ROLES, RULES


def test_every_route_stands_in_the_role_table_and_none_is_for_nobody() -> None:
    routes = routes_of(create_app())
    assert len(routes) > 50
    assert set(routes) <= set(RULES)
    assert len(routes) == len(set(routes))
    assert all(RULES[route] for route in routes)
    assert all(set(rule) <= set(ROLES) for rule in RULES.values())


def test_the_role_table_names_no_route_that_does_not_exist() -> None:
    served = set(routes_of(create_app())) | {("GET", "/openapi.json"), ("GET", "/docs")}
    assert set(RULES) - served == set()


def test_the_openapi_document_describes_every_v1_route_and_says_how_to_sign_in() -> None:
    app = create_app()
    document = app.openapi()
    paths = document["paths"]
    for method, path in routes_of(app):
        if path.startswith("/v1/"):
            operation = paths[path.replace(":path", "")][method.lower()]
            assert operation.get("summary"), (method, path)
            assert operation.get("tags"), (method, path)
            assert operation.get("security") == [{"key": []}], (method, path)
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


async def test_migrations_equal_models(owner_url: str) -> None:
    for slice_ in pkgutil.iter_modules(sandbox.__path__):
        name = f"sandbox.{slice_.name}.models"
        if slice_.ispkg and importlib.util.find_spec(name):
            importlib.import_module(name)
    database = Database(owner_url)

    def differences(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"include_schemas": True})
        found = compare_metadata(context, SQLModel.metadata)
        return [str(difference) for difference in found]

    async with database.engine.connect() as connection:
        found = await connection.run_sync(differences)
    await database.dispose()
    assert [difference for difference in found if "alembic_version" not in difference] == []
