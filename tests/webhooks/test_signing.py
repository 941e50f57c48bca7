"""Signatures as receivers check them: the official packages for v1, plain Ed25519 for v1a."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from merchants.client import BadWebhook, verify_webhook, verify_webhook_v1a
from sandbox.core import clock
from sandbox.core.db import Database
from sandbox.webhooks import keys, sending, service
from sandbox.webhooks.jobs import Courier
from tests.webhooks.conftest import World
from tests.webhooks.receiver import Receiver

HERE = Path(__file__).parent
SECRET = "whsec_N4CokQQ/QDS6pYznlLc8LqQR80UrCm5Ur71FXDMYAIs="
BODY = b'{"type":"payment.final","data":{"id":"pay_1"}}'
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def by_node(secret: str, public_key: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    given = {"secret": secret, "public_key": public_key, "headers": headers, "body": body.decode()}
    ran = subprocess.run(
        ["node", str(HERE / "verify.mjs")],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def public_keys(keys_dir: Path) -> list[str]:
    return [one["public_key"] for one in keys.public_document(keys_dir)["keys"]]


def signed(keys_dir: Path, at: datetime | None = None) -> dict[str, str]:
    keyring = keys.Keyring(keys_dir).signing(NOW)
    return sending.signed_headers([SECRET], keyring, "e1_evt_1", BODY, at or datetime.now(UTC))


async def carry(world: World, courier: Courier) -> None:
    while await courier.step():
        await courier.drain()


def test_keys_that_others_may_read_or_that_are_gone_are_refused(keys_dir: Path) -> None:
    file = keys_dir / keys.FILE_NAME
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(keys.BadKeyFile, match="chmod 600"):
        keys.load(keys_dir)
    file.chmod(0o600)
    file.write_text('{"keys": [{"seed": "00", "created_at": "", "retired_at": null}]}')
    with pytest.raises(keys.BadKeyFile, match="32 bytes"):
        keys.load(keys_dir)
    file.unlink()
    with pytest.raises(keys.BadKeyFile, match="missing"):
        keys.Keyring(keys_dir)


def test_nothing_replaces_keys_that_are_there(keys_dir: Path) -> None:
    before = public_keys(keys_dir)
    keys.load_or_create(keys_dir, NOW + timedelta(days=1))
    assert public_keys(keys_dir) == before
    assert "seed" not in (keys_dir / keys.PUBLIC_FILE_NAME).read_text()


def test_python_and_node_verify_both_schemes_and_take_no_other_body_or_key(keys_dir: Path) -> None:
    headers = signed(keys_dir)
    [public] = public_keys(keys_dir)
    assert verify_webhook(SECRET, headers, BODY)["type"] == "payment.final"
    assert verify_webhook_v1a([public], headers, BODY)["type"] == "payment.final"
    assert by_node(SECRET, public, headers, BODY) == {"v1": True, "v1a": True, "error": None}

    other = BODY.replace(b"pay_1", b"pay_2")
    with pytest.raises(WebhookVerificationError):
        verify_webhook(SECRET, headers, other)
    with pytest.raises(BadWebhook):
        verify_webhook_v1a([public], headers, other)
    found = by_node(SECRET, public, headers, other)
    assert (found["v1"], found["v1a"]) == (False, False)
    stranger = keys.rotate(keys_dir, NOW, 0)[0].public
    with pytest.raises(BadWebhook):
        verify_webhook_v1a([stranger], headers, BODY)
    with pytest.raises(BadWebhook):
        verify_webhook_v1a([public], {**headers, "webhook-id": "e1_evt_2"}, BODY)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_delivery_that_is_six_minutes_off_is_taken_by_nobody(
    keys_dir: Path, minutes: int
) -> None:
    headers = signed(keys_dir, datetime.now(UTC) + timedelta(minutes=minutes))
    [public] = public_keys(keys_dir)
    with pytest.raises(WebhookVerificationError):
        verify_webhook(SECRET, headers, BODY)
    with pytest.raises(BadWebhook):
        verify_webhook_v1a([public], headers, BODY)
    found = by_node(SECRET, public, headers, BODY)
    assert not found["v1"]
    assert "timestamp" in found["error"]


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_delivery_that_is_four_minutes_off_is_taken_by_all(keys_dir: Path, minutes: int) -> None:
    headers = signed(keys_dir, datetime.now(UTC) + timedelta(minutes=minutes))
    [public] = public_keys(keys_dir)
    verify_webhook(SECRET, headers, BODY)
    verify_webhook_v1a([public], headers, BODY)
    assert by_node(SECRET, public, headers, BODY) == {"v1": True, "v1a": True, "error": None}


async def test_both_secrets_sign_until_the_overlap_ends_by_the_sandbox_clock(
    world: World, receiver: Receiver, courier: Courier, database: Database
) -> None:
    made = await world.endpoint(receiver.url)
    old = made.secret
    async with database.transaction() as db:
        await clock.freeze(db, True)
        turned = await service.rotate_secret(db, made.id, "mch_1", 3_600)
        new = turned.secret
    assert new != old
    for moved_s, takes_old in ((0, True), (3_599, True), (1, False)):
        async with database.transaction() as db:
            await clock.advance(db, moved_s)
        await world.facts(1)
        await carry(world, courier)
        request = receiver.received[-1]
        Webhook(new).verify(request.body, request.headers)
        if takes_old:
            Webhook(old).verify(request.body, request.headers)
        else:
            with pytest.raises(WebhookVerificationError):
                Webhook(old).verify(request.body, request.headers)
    async with database.transaction() as db:
        turned = await service.rotate_secret(db, made.id, "mch_1", 0)
    await world.facts(1)
    await carry(world, courier)
    request = receiver.received[-1]
    assert request.headers["webhook-signature"].count("v1,") == 1
    Webhook(turned.secret).verify(request.body, request.headers)


async def test_the_sandboxs_keys_overlap_too_and_a_running_worker_notices(
    world: World, receiver: Receiver, courier: Courier, database: Database, keys_dir: Path
) -> None:
    await world.endpoint(receiver.url)
    async with database.transaction() as db:
        await clock.freeze(db, True)
        now = await clock.now(db)
    [old] = public_keys(keys_dir)
    keys.rotate(keys_dir, now, 60)
    new, again = public_keys(keys_dir)
    assert again == old
    for moved_s, signing in ((0, [new, old]), (60, [new])):
        async with database.transaction() as db:
            await clock.advance(db, moved_s)
        await world.facts(1)
        await carry(world, courier)
        request = receiver.received[-1]
        assert request.headers["webhook-signature"].count("v1a,") == len(signing)
        for public in signing:
            verify_webhook_v1a([public], request.headers, request.body)
    retired = keys.public_document(keys_dir)["keys"][1]
    assert retired["retired_at"] == clock.iso(now + timedelta(seconds=60))
