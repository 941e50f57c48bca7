"""Clients in a real browser, in a page of another loopback origin: CORS as browsers ask for it."""

import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sandbox.devnets.solana.process import Running, command, start
from tests.conformance.conftest import FAST_MS
from tests.web import chromium
from tests.web.chromium import Chromium

pytestmark = pytest.mark.skipif(chromium.CHROMIUM is None, reason="needs chromium (.ci/apt.txt)")

HERE = Path(__file__).parent
SCRIPTS = {
    "/kit.js": HERE.parents[1] / "node_modules/@solana/kit/dist/index.production.min.js",
    "/web3.js": HERE / "node_modules/@solana/web3.js/lib/index.iife.min.js",
}
WITH_KIT = """(async (rpcUrl, wsUrl) => {
    const kit = solanaWeb3;
    const rpc = kit.createSolanaRpc(rpcUrl);
    const rpcSubscriptions = kit.createSolanaRpcSubscriptions(wsUrl);
    const payer = await kit.generateKeyPairSigner();
    const payee = await kit.generateKeyPairSigner();
    const airdrop = kit.airdropFactory({ rpc, rpcSubscriptions });
    for (const { address } of [payer, payee]) {
        await airdrop({
            commitment: 'confirmed', lamports: kit.lamports(1000000000n), recipientAddress: address,
        });
    }
    const { value } = await rpc.getLatestBlockhash().send();
    const message = kit.pipe(
        kit.createTransactionMessage({ version: 0 }),
        (m) => kit.setTransactionMessageFeePayerSigner(payer, m),
        (m) => kit.setTransactionMessageLifetimeUsingBlockhash(value, m),
        (m) => kit.appendTransactionMessageInstruction({
            programAddress: '11111111111111111111111111111111',
            accounts: [
                { address: payer.address, role: kit.AccountRole.WRITABLE_SIGNER, signer: payer },
                { address: payee.address, role: kit.AccountRole.WRITABLE },
            ],
            data: new Uint8Array([2, 0, 0, 0, 64, 66, 15, 0, 0, 0, 0, 0]),
        }, m),
    );
    const signed = await kit.signTransactionMessageWithSigners(message);
    const send = kit.sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions });
    await send(signed, { commitment: 'confirmed' });
    const balance = await rpc.getBalance(payee.address, { commitment: 'confirmed' }).send();
    return Number(balance.value);
})"""
WITH_WEB3 = """(async (rpcUrl, wsUrl) => {
    const web3 = solanaWeb3;
    const connection = new web3.Connection(rpcUrl, { commitment: 'confirmed', wsEndpoint: wsUrl });
    const [payer, payee] = [web3.Keypair.generate(), web3.Keypair.generate()];
    for (const key of [payer, payee]) {
        const latest = await connection.getLatestBlockhash();
        const signature = await connection.requestAirdrop(key.publicKey, web3.LAMPORTS_PER_SOL);
        await connection.confirmTransaction({ signature, ...latest });
    }
    const transfer = web3.SystemProgram.transfer({
        fromPubkey: payer.publicKey, toPubkey: payee.publicKey, lamports: 1000000,
    });
    await web3.sendAndConfirmTransaction(connection, new web3.Transaction().add(transfer), [payer]);
    return await connection.getBalance(payee.publicKey);
})"""
HEALTH = """fetch(%r, {
    method: 'POST', headers: {'content-type': 'application/json', 'solana-client': 'js/test'},
    body: '{"jsonrpc":"2.0","id":1,"method":"getHealth"}',
}).then((answer) => answer.json()).then(({ result }) => result, () => 'blocked')"""


class Site(BaseHTTPRequestHandler):
    """An empty page, and one with a client for each script."""

    def do_GET(self) -> None:
        page, _, script = self.path.partition("?")
        if page in SCRIPTS:
            body, kind = SCRIPTS[page].read_bytes(), "text/javascript"
        else:
            source = f"<script src='{script}'></script>" if script else ""
            body, kind = f"<!doctype html><title>shop</title>{source}".encode(), "text/html"
        self.send_response(200)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """The address of a shop's pages, on another port than the chain."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def devnet(tmp_path: Path) -> AsyncIterator[Running]:
    running = await start(command(tmp_path / "chain", slot_ms=FAST_MS))
    yield running
    assert await running.stop() == 0


async def test_pages_of_this_machine_use_the_chain_and_pages_from_nowhere_do_not(
    tmp_path: Path, devnet: Running, site: str
) -> None:
    async with chromium.started(tmp_path / "profile") as browser:
        await nowhere(browser, devnet)
        for script, act in (("kit.js", WITH_KIT), ("web3.js", WITH_WEB3)):
            page = await browser.page()
            await page.open(f"{site}?{script}")
            assert await page.evaluate(HEALTH % devnet.rpc) == "ok"
            assert await page.evaluate(f"{act}({devnet.rpc!r}, {devnet.ws!r})") == 1_001_000_000
            assert page.complaints == []


async def nowhere(browser: Chromium, devnet: Running) -> None:
    """A page without an origin of its own is what a file, or a frame of a stranger, is."""
    page = await browser.page()
    await page.open("data:text/html,<title>nowhere</title>")
    assert await page.evaluate(HEALTH % devnet.rpc) == "blocked"
