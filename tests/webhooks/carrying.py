"""A courier in a process of its own, to be killed. `python -m tests.webhooks.carrying <url>`."""

import asyncio
import sys

from sandbox.core.db import Database
from sandbox.webhooks.jobs import Courier


async def main() -> None:
    courier = Courier(Database(sys.argv[1]), "doomed", allow_loopback=True)
    async with asyncio.timeout(60):
        while True:
            await courier.step()
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
