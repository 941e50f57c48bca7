"""The payment page: every state has words for a buyer, and nothing else leaves."""

import re

import httpx2
import pytest
from sqlalchemy import text

from sandbox.core.texts import LANGUAGES, Language
from sandbox.payments.jobs import expire
from sandbox.web.texts import MESSAGES, WORDS
from tests.payments.world import Json, World


async def page(world: World, session: Json, **query: str) -> httpx2.Response:
    return await world.http.get(f"/pay/{session['id']}", params=query)


async def state(world: World, session: Json) -> Json:
    answer: Json = (await world.http.get(f"/pay/{session['id']}/state?lang=en")).json()
    return answer


async def test_an_unknown_session_is_a_page_too_in_the_buyers_language(world: World) -> None:
    answer = await world.http.get("/pay/cs_nothing?lang=ru")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert MESSAGES["not_found"]["ru"] in answer.text


async def test_the_state_of_an_unknown_session_is_a_problem(world: World) -> None:
    answer = await world.http.get("/pay/cs_nothing/state")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_only_the_pages_own_files_are_served(world: World) -> None:
    for name in ("pay.css", "pay.js"):
        assert (await world.http.get(f"/pay/assets/{name}")).status_code == 200
    for name in ("texts.py", "..%2ftexts.py", "base.html"):
        assert (await world.http.get(f"/pay/assets/{name}")).status_code == 404


async def test_what_a_merchant_writes_is_text_never_markup(world: World) -> None:
    session = await world.session(description="<script>alert(1)</script>")
    html = (await page(world, session)).text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html


async def test_no_script_or_style_stands_in_the_page_and_the_policy_forbids_it(
    world: World,
) -> None:
    answer = await page(world, await world.session())
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", answer.text) == []
    assert re.findall(r"\sstyle=|<style|\son\w+=", answer.text) == []


async def test_the_page_says_how_to_pay_without_any_script(world: World) -> None:
    session = await world.session(250_050, description="Two coffees")
    [option] = session["options"]
    html = (await page(world, session, lang="en")).text
    assert "2\u00a0500,50\u00a0₸" in html
    assert "Дүкен shop" in html
    for shown in (option["recipient"], option["memo"], option["reference"], "Two coffees"):
        assert shown in html
    assert 'http-equiv="refresh"' in html
    assert "<noscript>" in html
    assert "Time left:" in html
    assert re.search(r'id="countdown"[^>]*>15:00<', html)
    assert "<code>2500.5</code> KZTE" in html
    assert 'data-copy="Copy" data-copied="Copied"' in html


async def test_the_qr_code_has_a_text_alternative_and_the_state_is_announced(
    world: World,
) -> None:
    session = await world.session(10_000)
    html = (await page(world, session, lang="en")).text
    assert 'role="img" aria-label="QR code: 100\u00a0₸ to Дүкен shop on Memory"' in html
    assert re.search(r'role="status" aria-live="polite">Waiting for your payment\.', html)
    assert "<svg" in html


async def test_the_qr_code_is_served_alone(world: World) -> None:
    session = await world.session()
    answer = await world.http.get(f"/pay/{session['id']}/memory.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert (await world.http.get(f"/pay/{session['id']}/evm.svg")).status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_speaks_the_language_asked_for(world: World, language: Language) -> None:
    session = await world.session()
    for answer in (
        await page(world, session, lang=language),
        await world.http.get(
            f"/pay/{session['id']}", headers={"Accept-Language": f"fr;q=0.9, {language}-KZ;q=0.8"}
        ),
    ):
        assert f'<html lang="{language}">' in answer.text
        assert MESSAGES["waiting"][language] in answer.text
        assert answer.headers["content-language"] == language


def test_every_text_stands_in_every_language() -> None:
    for texts in (*MESSAGES.values(), *WORDS.values()):
        assert set(texts) == set(LANGUAGES)
        assert all(text.strip() for text in texts.values())


async def test_the_state_holds_no_private_field(world: World) -> None:
    session = await world.session(description="Secret", client_reference_id="order-1")
    await world.pay(session, 1)
    told = await state(world, session)
    assert set(told) == {
        "status", "reason", "state", "message", "expires_at", "seconds_left", "left", "pending",
    }  # fmt: skip
    assert "order-1" not in (await page(world, session)).text


async def test_a_part_paid_asks_for_the_rest_only(world: World) -> None:
    session = await world.session(10_000)
    await world.pay(session, 4_000)
    told = await state(world, session)
    assert (told["state"], told["left"], told["pending"]) == ("partial", "60\u00a0₸", True)
    html = (await page(world, session, lang="en")).text
    assert "amount=60&amp;" in html
    assert "amount=100&amp;" not in html


async def test_paid_at_once_and_quiet_when_final(world: World) -> None:
    session = await world.session()
    await world.pay(session, 10_000)
    told = await state(world, session)
    assert (told["status"], told["state"], told["pending"]) == ("complete", "paid", True)
    html = (await page(world, session, lang="en")).text
    assert "Paid. Thank you!" in html
    assert "<svg" not in html
    await world.finalize()
    assert (await state(world, session))["pending"] is False
    assert "http-equiv" not in (await page(world, session)).text


async def test_every_other_end_has_its_own_words(world: World) -> None:
    seen = {}
    over = await world.session()
    await world.pay(over, 12_000)
    seen["overpaid"] = over
    double = await world.session()
    for _ in range(2):
        await world.pay(double, 10_000)
    seen["duplicate"] = double
    seen["canceled"] = await world.session()
    await world.post(f"/v1/checkout/sessions/{seen['canceled']['id']}/cancel")
    seen["canceled_paid"] = await world.session()
    await world.post(f"/v1/checkout/sessions/{seen['canceled_paid']['id']}/cancel")
    await world.pay(seen["canceled_paid"], 10_000)
    careful = await world.session(role="careful")
    await world.pay(careful, 10_000)
    seen["confirming"] = careful
    seen["reverted"] = await world.session()
    await world.pay(seen["reverted"], 10_000)
    world.chain.reorg(1, what="drop")
    world.chain.mine(2)
    await world.follow()
    seen["short"] = await world.session(expires_in_s=50)
    await world.pay(seen["short"], 10)
    seen["expired"] = await world.session(expires_in_s=30)
    seen["late"] = await world.session(expires_in_s=30)
    for key in ("overpaid", "duplicate", "canceled", "canceled_paid", "confirming", "reverted"):
        assert (await state(world, seen[key]))["state"] == key
    await world.wait(100)
    # The page does not wait for the job, and watches on for what was sent in the last second.
    told = await state(world, seen["expired"])
    assert (told["state"], told["pending"]) == ("expired", True)
    await expire(world.database)
    await world.pay(seen["late"], 10_000)
    for key in ("short", "expired", "late"):
        told = await state(world, seen[key])
        assert (told["state"], told["message"]) == (key, MESSAGES[key]["en"])
        assert "<svg" not in (await page(world, seen[key])).text
    await world.wait(200)
    assert (await state(world, seen["expired"]))["pending"] is False


async def test_money_that_waits_for_finality_is_not_told_to_be_late(world: World) -> None:
    session = await world.session(role="careful", expires_in_s=30)
    await world.pay(session, 10_000)
    world.chain.offset_ms += 60_000
    await world.sync()
    async with world.database.transaction() as db:
        await db.execute(text("UPDATE clock SET frozen_at = frozen_at + interval '1 minute'"))
    await expire(world.database)
    told = await state(world, session)
    assert (told["status"], told["state"]) == ("expired", "confirming")
    await world.finalize()
    assert (await state(world, session))["state"] == "paid"


class _Payer:
    """What the page needs to know of a simulated payer."""

    def __init__(self, name: str, label: str) -> None:
        self.name, self.label = name, dict.fromkeys(LANGUAGES, label)


async def test_without_a_test_panel_no_form_is_on_the_page_and_none_may_be(world: World) -> None:
    answer = await page(world, await world.session(), lang="en")
    assert "<form" not in answer.text
    assert "form-action 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_test_panel_is_a_landmark_of_its_own_behind_the_page_that_a_buyer_sees(
    world: World, language: Language
) -> None:
    session = await world.session()
    without = (await page(world, session, lang=language)).text
    world.app.state.test_panel = [_Payer("short", "Too <little>"), _Payer("over", "Too much")]
    answer = await page(world, session, lang=language)
    before, panel = answer.text.split("<aside ", 1)
    panel, after = panel.split("</aside>\n", 1)
    countdown = re.compile(r"data-seconds=.\d+.|>\d+:\d+<")
    assert countdown.sub("", before + after) == countdown.sub("", without)
    assert before.rstrip().endswith("</main>")
    assert WORDS["panel"][language] in panel
    assert f'action="/pay/{session["id"]}/simulate?lang={language}&amp;network=memory"' in panel
    assert f'<button name="profile" value="">{WORDS["by_amount"][language]}</button>' in panel
    assert '<button name="profile" value="short">Too &lt;little&gt;</button>' in panel
    # Browsers name the origin of a form's request only where the page may send a referrer.
    assert "form-action 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "same-origin"
