"""The payment page in a real browser, over a whole sandbox with both chains.

The wallet in the browser is ours: it forwards what it is asked, and the test answers.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from sandbox.chains.evm.browser import payment
from sandbox.chains.evm.rpc import Node
from sandbox.chains.evm.tx import call_data
from sandbox.chains.evm.wallet import EvmWallet
from sandbox.cli.endpoints import Running
from sandbox.web.texts import MESSAGES, WALLET, Language
from tests.journeys.customers import funded
from tests.journeys.stack import Stack
from tests.web import chromium
from tests.web.chromium import Chromium, Json, Page

pytestmark = pytest.mark.skipif(chromium.CHROMIUM is None, reason="needs chromium (.ci/apt.txt)")

PROVIDER = """
{
  const waiting = [];
  const provider = {
    request: ({ method, params }) => new Promise((resolve, reject) => {
      askWallet(JSON.stringify({ id: waiting.push({ resolve, reject }) - 1, method, params }));
    }),
  };
  window.walletSays = (id, result, error) => {
    if (error) waiting[id].reject(Object.assign(new Error("internals"), error));
    else waiting[id].resolve(result);
  };
  window.provider = provider;
}
"""
OLD = "window.ethereum = window.provider;"
ANNOUNCED = """
addEventListener("eip6963:requestProvider", () => {
  for (const [uuid, name] of [["1", "Red"], ["2", "<b>Blue</b>"]]) {
    const detail = { info: { uuid, name, rdns: "test", icon: "" }, provider: window.provider };
    dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  }
});
"""
# The page looks every 2 s, which is long for a test.
PACE = """
{
  const original = window.setTimeout;
  window.setTimeout = (act, ms) => original(act, ms === 2000 ? %d : ms);
}
"""
OFTEN_MS, NEVER_MS = 200, 10**9
BUTTON = "document.querySelector('.browser button')"
NOTE = "document.querySelector('.browser .note')?.textContent"
STATUS = "document.getElementById('status').textContent"
SHOWN = "[...document.querySelectorAll('.way:not([hidden])')].map(w => w.dataset.network).join()"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    stack = Stack(tmp_path_factory.mktemp("page") / "sandbox")
    try:
        yield stack.up()
    finally:
        stack.down()


@pytest.fixture(scope="module")
def buyer(sandbox: Running) -> LocalAccount:
    """A key with 5,000 ₸ and coin for fees."""
    return cast(LocalAccount, funded(sandbox, "evm", 500_000))


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Chromium]:
    async with chromium.started(tmp_path / "profile") as browser:
        yield browser


class Wallet:
    """What stands behind the page's provider: a key on the devnet, and orders to misbehave."""

    def __init__(self, sandbox: Running, account: LocalAccount) -> None:
        rpc = sandbox.endpoints["evm_rpc"]
        self.account, self.key, self.node = account.address, EvmWallet(rpc, account), Node(rpc)
        self.chain_id: int = sandbox.endpoints["evm_chain_id"]
        self.errors: dict[str, int] = {}
        self.results: dict[str, Any] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked: list[tuple[str, Any]] = []

    def sent(self) -> list[Json]:
        return [params[0] for method, params in self.asked if method == "eth_sendTransaction"]

    async def put_into(self, page: Page, *scripts: str) -> None:
        async def answer(text: str) -> None:
            asked = json.loads(text)
            method, params = asked["method"], asked.get("params", [])
            self.asked.append((method, params))
            await self.may_answer.wait()
            if (code := self.errors.get(method)) is not None:
                said = f"{asked['id']}, null, {json.dumps({'code': code})}"
            else:
                said = f"{asked['id']}, {json.dumps(await self._do(method, params))}"
            await page.evaluate(f"walletSays({said})")

        await page.bind("askWallet", answer)
        for script in (PROVIDER, *scripts):
            await page.before_load(script)

    async def _do(self, method: str, params: list[Any]) -> Any:
        if method in self.results:
            return self.results[method]
        match method:
            case "eth_requestAccounts":
                return [self.account]
            case "eth_chainId":
                return hex(self.chain_id)
            case "wallet_switchEthereumChain" | "wallet_addEthereumChain":
                self.chain_id = int(params[0]["chainId"], 16)
                return None
            case "eth_sendTransaction":
                data = bytes.fromhex(params[0]["data"][2:])
                return await self.key.send(params[0]["to"], data, wait=False)
            case _:
                return await self.node.call(method, *params)

    async def close(self) -> None:
        await self.key.aclose()
        await self.node.aclose()


@pytest.fixture
async def wallet(sandbox: Running, buyer: LocalAccount) -> AsyncIterator[Wallet]:
    wallet = Wallet(sandbox, buyer)
    yield wallet
    await wallet.close()


def session_of(sandbox: Running, amount_tiyn: int = 1_000) -> tuple[Json, Json]:
    """A new session, and its option with a deposit address."""
    session = sandbox.post("/v1/checkout/sessions", {"amount_tiyn": amount_tiyn}, "merchant")
    [option] = [one for one in session["options"] if one["chain"] == "evm"]
    return session, option


async def opened(
    browser: Chromium,
    wallet: Wallet,
    session: Json,
    language: Language = "en",
    *,
    look_ms: int = OFTEN_MS,
) -> Page:
    """The page as a buyer with one wallet of the old kind sees it."""
    page = await browser.page()
    await wallet.put_into(page, OLD, PACE % look_ms)
    await page.open(f"{session['url']}?lang={language}&network=evm")
    await page.until(f"{BUTTON}?.textContent", WALLET["pay"][language])
    return page


@pytest.mark.parametrize(
    ("method", "code", "key", "language"),
    [
        ("eth_requestAccounts", 4001, "rejected", "ru"),
        ("eth_requestAccounts", -32002, "busy", "kk"),
        pytest.param("eth_requestAccounts", 4100, "locked", "en", marks=pytest.mark.long),
        pytest.param("eth_chainId", 4900, "offline", "kk", marks=pytest.mark.long),
        pytest.param("eth_chainId", -32603, "error", "en", marks=pytest.mark.long),
        pytest.param("eth_sendTransaction", 4001, "rejected", "kk", marks=pytest.mark.long),
        ("eth_sendTransaction", -32603, "unknown", "ru"),
    ],
)
async def test_a_refusing_wallet_is_told_in_the_buyers_words_and_may_be_asked_again(
    sandbox: Running,
    browser: Chromium,
    wallet: Wallet,
    method: str,
    code: int,
    key: str,
    language: Language,
) -> None:
    session, _ = session_of(sandbox)
    page = await opened(browser, wallet, session, language)
    wallet.errors[method] = code
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(NOTE, WALLET[key][language])
    assert len(wallet.sent()) == (method == "eth_sendTransaction")
    del wallet.errors[method]
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(STATUS, MESSAGES["paid"][language])
    assert page.complaints == []


async def test_a_wallet_without_enough_tokens_is_not_asked_to_pay(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, _ = session_of(sandbox)
    wallet.account = Account.create().address
    page = await opened(browser, wallet, session)
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(NOTE, WALLET["short"]["en"])
    assert wallet.sent() == []


async def test_a_bill_that_was_paid_meanwhile_is_not_paid_again(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, option = session_of(sandbox)
    page = await opened(browser, wallet, session, look_ms=NEVER_MS)
    wallet.may_answer.clear()
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(NOTE, WALLET["asking"]["en"])
    await wallet.key.pay(option["url"])
    sandbox.quiesce()
    assert await page.evaluate(STATUS) == MESSAGES["waiting"]["en"]
    wallet.may_answer.set()
    await page.until(STATUS, MESSAGES["paid"]["en"])
    assert await page.evaluate(f"{BUTTON} === null")
    await asyncio.sleep(0.5)
    assert wallet.sent() == []


async def test_a_bill_that_changed_meanwhile_is_looked_at_again_first(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, option = session_of(sandbox, 1_000)
    page = await opened(browser, wallet, session)
    wallet.may_answer.clear()
    await page.evaluate(f"{BUTTON}.click()")
    await wallet.key.pay(option["url"], amount_units=400)
    await page.until(STATUS, MESSAGES["partial"]["en"])
    wallet.may_answer.set()
    await page.until(NOTE, WALLET["changed"]["en"])
    assert wallet.sent() == []
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(STATUS, MESSAGES["paid"]["en"])
    [sent] = wallet.sent()
    assert int(sent["data"][-64:], 16) == 600
    assert await page.evaluate("location.search") == "?lang=en&network=evm"


async def test_a_transaction_that_fails_on_the_chain_is_told_and_may_be_tried_again(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, _ = session_of(sandbox)
    page = await opened(browser, wallet, session)
    hash_ = "0x" + "ab" * 32
    wallet.results = {
        "eth_sendTransaction": hash_,
        "eth_getTransactionReceipt": {"status": "0x0"},
    }
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(NOTE, f"{WALLET['sent']['en']} {hash_}")
    assert await page.evaluate(f"{BUTTON}.getAttribute('aria-disabled')") == "true"
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(NOTE, f"{WALLET['reverted']['en']} {hash_}")
    assert len(wallet.sent()) == 1
    wallet.results.clear()
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(STATUS, MESSAGES["paid"]["en"])


async def test_a_wallet_that_stays_on_another_chain_is_not_asked_to_pay(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, _ = session_of(sandbox)
    wallet.chain_id = 1
    wallet.results = {"wallet_switchEthereumChain": None}
    page = await opened(browser, wallet, session)
    await page.evaluate(f"{BUTTON}.click()")
    said = WALLET["network"]["en"].format(network="EVM", chain_id=31337)
    await page.until(NOTE, said)
    # Nor one that does not know the chain, where nothing may be told of its node.
    wallet.errors["wallet_switchEthereumChain"] = 4902
    await page.evaluate(
        "{ const box = document.querySelector('.browser');"
        " box.dataset.payment = JSON.stringify({...JSON.parse(box.dataset.payment),"
        " network: null}); }"
    )
    wallet.may_answer.clear()
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(NOTE, WALLET["asking"]["en"])
    wallet.may_answer.set()
    await page.until(NOTE, said)
    assert [m for m, _ in wallet.asked if m == "wallet_addEthereumChain"] == []
    assert wallet.sent() == []


def test_the_address_of_our_own_node_is_told_to_nobody_unless_it_is_set() -> None:
    assert payment(1, "0x01", "0x" + "02" * 20, 1, "").network is None


async def test_a_wallet_that_does_not_know_the_chain_is_told_of_it(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, _ = session_of(sandbox)
    wallet.chain_id = 1
    wallet.errors["wallet_switchEthereumChain"] = 4902
    page = await opened(browser, wallet, session)
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(STATUS, MESSAGES["paid"]["en"])
    [[added]] = [params for method, params in wallet.asked if method == "wallet_addEthereumChain"]
    assert added["chainId"] == hex(31337)
    assert added["rpcUrls"] == [sandbox.endpoints["evm_rpc"]]
    assert added["nativeCurrency"]["decimals"] == 18


async def test_a_press_pays_the_deposit_address_and_the_page_turns_to_paid(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, option = session_of(sandbox)
    page = await opened(browser, wallet, session, "kk")
    await page.evaluate(f"{BUTTON}.click()")
    await page.until(STATUS, MESSAGES["paid"]["kk"])
    data = call_data("transfer(address,uint256)", option["address"], option["amount_units"])
    assert wallet.sent() == [
        {
            "from": wallet.account,
            "to": option["token"],
            "data": "0x" + data.hex(),
            "value": "0x0",
            "chainId": hex(31337),
        }
    ]
    paid = sandbox.get(f"/v1/checkout/sessions/{session['id']}", "merchant")
    assert paid["status"] == "complete"
    assert (
        await page.evaluate("document.querySelector('#live code').textContent")
        == (paid["payment"]["tx"])
    )
    assert page.complaints == []


async def test_every_wallet_that_announces_itself_has_a_button_with_its_name_as_text(
    sandbox: Running, browser: Chromium, wallet: Wallet
) -> None:
    session, _ = session_of(sandbox)
    page = await browser.page()
    await wallet.put_into(page, OLD, ANNOUNCED)
    await page.open(f"{session['url']}?lang=en&network=evm")
    names = "[...document.querySelectorAll('.browser button')].map(b => b.textContent).join('|')"
    await page.until(names, "Pay with Red|Pay with <b>Blue</b>")
    await page.evaluate("document.querySelectorAll('.browser button')[1].click()")
    await page.until(STATUS, MESSAGES["paid"]["en"])


async def test_without_a_wallet_in_the_browser_there_is_no_button_for_one(
    sandbox: Running, browser: Chromium
) -> None:
    session, option = session_of(sandbox)
    page = await browser.page()
    await page.open(f"{session['url']}?lang=en&network=evm")
    await page.until("document.querySelectorAll('.way .copy').length > 0", True)
    assert await page.evaluate("document.querySelector('.browser').childElementCount") == 0
    assert await page.evaluate(
        "document.querySelector('.way:not([hidden]) a.button').getAttribute('href')"
    ) == str(option["url"])


async def test_the_keyboard_changes_the_network_and_another_language_keeps_it(
    sandbox: Running, browser: Chromium
) -> None:
    session, _ = session_of(sandbox)
    page = await browser.page()
    await page.open(f"{session['url']}?lang=en")
    await page.until(SHOWN, "solana")
    focused = "document.activeElement.dataset.network"
    for _ in range(12):
        await page.press("Tab", 9)
        if await page.evaluate(focused) == "evm":
            break
    await page.press("Enter", 13)
    await page.until(SHOWN, "evm")
    assert await page.evaluate(focused) == "evm"
    assert await page.evaluate("document.querySelectorAll('.networks [aria-current]').length") == 1
    assert await page.evaluate("location.search") == "?lang=en&network=evm"
    await page.evaluate("document.querySelector('.top nav a[lang=ru]').click()")
    await page.until("document.documentElement.lang", "ru")
    await page.until(SHOWN, "evm")
    # Nothing is kept but in the address.
    assert await page.evaluate("document.cookie + localStorage.length + sessionStorage.length") == (
        "00"
    )


async def test_the_networks_can_be_chosen_without_scripts(
    sandbox: Running, browser: Chromium
) -> None:
    session, _ = session_of(sandbox)
    page = await browser.page()
    await page.call("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(f"{session['url']}?lang=en&network=nothing")
    await page.until(SHOWN, "solana")
    for network in ("evm", "solana"):
        await page.evaluate(f"document.querySelector('.networks [data-network={network}]').click()")
        await page.until(SHOWN, network)
        assert f"network={network}" in await page.evaluate("location.search")
