"""A node's own word that its chain goes on: who follows the chain need not ask all the time.

A hint and no more. What is missed while the connection is gone is found by asking, as ever.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

RETRY_S = 1.0
OPEN_S = 5.0
_MAX_BYTES = 1 << 20

# Nobody needs to hear of a hint that is missing; the calls of the chain tell when the node is gone.
_silent = logging.getLogger("sandbox.announcing")
_silent.disabled = True


@dataclass(frozen=True, slots=True)
class Announcer:
    """A node that tells of new heads on a WebSocket: `method` subscribes to them."""

    url: str
    method: str
    params: Sequence[str] = ()

    async def follow(self, told: Callable[[], None]) -> None:
        """Call `told` for each message of the subscription, until cancelled. Raises nothing."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": self.method, "params": list(self.params)}
        while True:
            try:
                async with connect(
                    self.url,
                    proxy=None,
                    open_timeout=OPEN_S,
                    close_timeout=RETRY_S,
                    max_size=_MAX_BYTES,
                    logger=_silent,
                ) as socket:
                    await socket.send(orjson.dumps(asked).decode())
                    async for _ in socket:
                        told()
            except (WebSocketException, OSError, TimeoutError):
                pass  # it is tried again
            await asyncio.sleep(RETRY_S)
