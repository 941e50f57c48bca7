"""An ordinary shop: follows blocks and a token's transfers to one address with unmodified AsyncWeb3
over WebSocket. Prints "ready", then the first transfer, with the block that it saw come, as JSON.

usage: web3_py_watch.py <ws> <token> <recipient>
"""

import asyncio
import json
import sys
from typing import Any

from web3 import AsyncWeb3, WebSocketProvider

TRANSFER = AsyncWeb3.to_hex(AsyncWeb3.keccak(text="Transfer(address,address,uint256)"))


def topic(address: str) -> str:
    return "0x" + address.removeprefix("0x").lower().rjust(64, "0")


async def watch(ws_url: str, token: str, recipient: str) -> dict[str, Any]:
    async with AsyncWeb3(WebSocketProvider(ws_url)) as w3:
        heads = await w3.eth.subscribe("newHeads")
        await w3.eth.subscribe(
            "logs",
            {
                "address": AsyncWeb3.to_checksum_address(token),
                "topics": [TRANSFER, None, topic(recipient)],
            },
        )
        print("ready", flush=True)
        seen: dict[bytes, int] = {}
        async for message in w3.socket.process_subscriptions():
            found = message["result"]
            if message["subscription"] == heads:
                seen[bytes(found["hash"])] = found["number"]
                continue
            return {
                "tx": AsyncWeb3.to_hex(found["transactionHash"]),
                "from": "0x" + bytes(found["topics"][1])[12:].hex(),
                "to": "0x" + bytes(found["topics"][2])[12:].hex(),
                "units": str(int.from_bytes(bytes(found["data"]), "big")),
                "height": seen[bytes(found["blockHash"])],
                "removed": found["removed"],
            }
    raise SystemExit("the node closed the connection")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(watch(*sys.argv[1:4]))))
