"""The files for containers, held against the code that would run in them: no engine is needed."""

import importlib
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.cli import prepare
from sandbox.core.settings import Settings
from sandbox.devnets import postgres_cluster
from sandbox.devnets.evm import anvil
from tests.compose.files import (
    ROOT,
    NotSet,
    compose,
    copied,
    environment,
    interpolated,
    let_through,
    stages,
    variables,
)

GIVEN = {"OWNER_PASSWORD": "owner-word", "APP_PASSWORD": "app-word"}
OURS = ("prepare", "api", "worker")
# Without these a container would look for the world, or let itself be looked for, in itself.
NEEDED = {"SANDBOX_DATA_DIR", "SANDBOX_DATABASE_URL", "SANDBOX_SOLANA_RPC", "SANDBOX_EVM_RPC"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    return found


def settings(service: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment(service, GIVEN).items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_a_start_without_the_passwords_is_refused_and_says_which(services: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert variables(text) == set(GIVEN)
    for name, whose in (("postgres", "owner"), ("api", "application"), ("worker", "application")):
        with pytest.raises(NotSet, match=whose):
            environment(services[name], {})
    with pytest.raises(NotSet, match="owner"):
        environment(services["prepare"], {"APP_PASSWORD": "word"})


def test_no_secret_stands_in_the_files(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "://" in value:
                assert urlsplit(interpolated(value, GIVEN)).password in (None, *GIVEN.values())
            if "PASSWORD" in name:
                assert value.startswith("${")
    for stage in stages().values():
        assert not any("PASSWORD" in rest or "SECRET" in rest for rest in stage.all("ENV"))
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert ".env" in ignored
    assert not any(line.startswith(".env") for line in let_through())


def test_what_is_published_is_published_to_this_machine_only(services: dict[str, Any]) -> None:
    for service in services.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port


def test_every_variable_is_a_setting_and_none_that_is_needed_is_missing(
    services: dict[str, Any],
) -> None:
    known = {f"SANDBOX_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        asked = {key for key in services[name]["environment"] if key.startswith("SANDBOX_")}
        assert asked - known == set(), name
        assert NEEDED - asked == set(), name
    assert "SANDBOX_OWNER_URL" in services["prepare"]["environment"]
    assert not any("SANDBOX_OWNER_URL" in services[name]["environment"] for name in OURS[1:])
    assert {"SANDBOX_HOST", "SANDBOX_PUBLIC_URL"} <= set(services["api"]["environment"])


def test_preparation_accepts_the_settings_it_would_get(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(services["prepare"], monkeypatch)
    prepare.check(found)
    assert urlsplit(found.database_url).username == prepare.APP
    monkeypatch.delenv("SANDBOX_OWNER_URL")
    with pytest.raises(prepare.BadDatabaseUrl, match="SANDBOX_OWNER_URL"):
        prepare.check(Settings())


@pytest.mark.parametrize("name", OURS)
def test_addresses_lead_to_services_at_the_ports_they_listen_on(
    name: str, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(services[name], monkeypatch)
    listens = {
        "postgres": 5432,
        "solana": int(option(services["solana"], "--rpc-port")),
        "evm": int(option(services["evm"], "--port")),
    }
    for url in (found.database_url, found.solana_rpc, found.evm_rpc):
        parts = urlsplit(url)
        assert parts.hostname in services
        assert parts.port == listens[parts.hostname]


def test_the_api_listens_and_is_looked_for_where_its_port_is_published(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = services["api"]
    found = settings(api, monkeypatch)
    assert f"127.0.0.1:{found.port}:{found.port}" in api["ports"]
    assert found.base_url == f"http://127.0.0.1:{found.port}"
    assert f"127.0.0.1:{found.port}/healthz" in " ".join(api["healthcheck"]["test"])
    assert f"api:{found.port}/readyz" in " ".join(services["worker"]["healthcheck"]["test"])
    assert found.evm_public_rpc.rsplit(":", 1)[1] in services["evm"]["ports"][0]
    assert option(services["evm"], "--allow-origin") == found.base_url
    assert [str(found.port)] == stages()["sandbox"].all("EXPOSE")


@pytest.mark.parametrize("name", OURS)
def test_commands_are_modules_with_a_main(name: str, services: dict[str, Any]) -> None:
    python, flag, module = services[name]["command"]
    assert (python, flag) == ("python", "-m")
    assert callable(importlib.import_module(module).main)


def test_every_flag_of_the_evm_chain_is_one_that_anvil_knows(services: dict[str, Any]) -> None:
    program = anvil.find_program()
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    for flag in services["evm"]["command"]:
        assert flag.split("=")[0] in said, flag
    assert stages()["anvil"].all("ENTRYPOINT") == ['["anvil"]']


def test_every_service_says_when_it_is_well_and_waits_for_what_it_needs(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        # One that ends is well when it ended with 0.
        assert ("healthcheck" in service) is (name != "prepare"), name
        for other, how in service.get("depends_on", {}).items():
            one_shot = other == "prepare"
            assert how["condition"] == (
                "service_completed_successfully" if one_shot else "service_healthy"
            )
    assert set(services["prepare"]["depends_on"]) == {"postgres", "solana", "evm"}


def test_what_must_last_lies_in_named_volumes(services: dict[str, Any]) -> None:
    used = {
        mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])
    }
    assert used == set(compose()["volumes"])
    for name in OURS:
        assert services[name]["volumes"][0].split(":")[1] == "/data"
    assert services["api"]["volumes"] == ["keys:/data:ro"]
    folder = services["evm"]["volumes"][0].split(":")[1]
    assert option(services["evm"], "--state").startswith(f"{folder}/")


def test_images_are_built_in_stages_and_run_as_nobody_special(services: dict[str, Any]) -> None:
    found = stages()
    for name in {services[one]["build"]["target"] for one in (*OURS, "evm")}:
        assert found[name].all("USER")[-1] not in ("root", "0")
        assert any(rest.startswith("--from=") for rest in found[name].all("COPY"))
        assert copied(found[name]) == [], "sources come in through a build stage only"


def test_what_the_build_copies_is_there_and_let_through() -> None:
    open_ = let_through()
    for stage in stages().values():
        for source in copied(stage):
            assert (ROOT / source).exists(), source
            assert source in open_ or any(line.startswith(f"{source}/") for line in open_), source


def test_the_database_is_of_the_version_that_is_embedded(services: dict[str, Any]) -> None:
    program = postgres_cluster.binary("postgres")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major = said.split()[-1].split(".")[0]
    assert services["postgres"]["image"].startswith(f"postgres:{major}-")


def option(service: Any, name: str) -> str:
    [found] = [flag for flag in service["command"] if flag.startswith(f"{name}=")]
    return str(found.removeprefix(f"{name}="))


def test_the_page_that_the_file_points_to_says_what_one_has_to_give() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert 'docs/operations.md, "Containers"' in text.splitlines()[0]
    page = (ROOT / "docs/operations.md").read_text()
    section = page.partition("\n## Containers\n")[2].partition("\n## ")[0]
    [loop] = [line for line in section.splitlines() if "_PASSWORD=" in line]
    names = loop.partition(" in ")[2].partition(";")[0].split()
    assert {f"{name}_PASSWORD" for name in names} == set(GIVEN)
    assert "/data/prepared.json" in section
    published = {port.split(":")[1] for one in compose()["services"].values()
                 for port in one.get("ports", [])}  # fmt: skip
    assert all(port in section for port in published), published
