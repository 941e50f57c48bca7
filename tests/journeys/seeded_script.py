"""What a merchant's test might do, with `sandbox record` listening: run as a program of its own."""

import os
import subprocess
import sys
from contextlib import suppress

from merchants.client import ApiRefusal, MerchantClient

SANDBOX = [sys.executable, "-m", "sandbox.cli"]
RECEIVER = "http://127.0.0.1:9/hooks"  # nobody is there: attempts are made again, with jitter


def sandbox(*arguments: str) -> None:
    subprocess.run([*SANDBOX, *arguments, "--json"], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    with MerchantClient(os.environ["API"], os.environ["KEY"]) as shop:
        shop.post("/v1/webhook_endpoints", {"url": RECEIVER, "types": ["payment.*"]})
        made = shop.post("/v1/api_keys", {"role": "merchant"})
        with suppress(ApiRefusal):
            shop.create_session(-1)
        paid = []
        for chain in ("solana", "evm"):
            session = shop.create_session(250_000, description=f"tea by {chain}")
            sandbox("pay", session["id"], "--chain", chain)
            sandbox("quiesce")
            paid.append(shop.session(session["id"]))
        assert {session["status"] for session in paid} == {"complete"}
        shop.refund(paid[0]["payments"][0]["id"], 1_000, reason="a cup was cold")
        sandbox("quiesce")
        with MerchantClient(os.environ["API"], made["key"]) as other:
            other.settle(os.environ["MERCHANT"])
        sandbox("quiesce")
        sandbox("clock", "advance", "3d")
        sandbox("quiesce")
        shop.get("/v1/payouts")


if __name__ == "__main__":
    main()
