"""`python -m tests.chaos.runner --seed N --kills K`: one sandbox, killed again and again.

While sessions are paid on both chains, and the reserve issues, redeems and moves. Afterwards all is
compared; it ends with status 1 when something was lost or doubled, and leaves the data for whoever
wants to know why.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from sandbox.core import failpoints
from sandbox.devnets.processes import Process
from tests.chaos.compare import Comparer
from tests.chaos.load import Load
from tests.chaos.payers import Lost
from tests.chaos.schedule import (
    ANVIL,
    BACKEND,
    MOMENT,
    POSTGRES,
    SUPERVISOR,
    VICTIMS,
    WINDOWS,
    Kill,
    drawn,
)
from tests.journeys.stack import Stack
from tests.webhooks.receiver import Receiver, answer

BATCH = 10
REACHED_WITHIN_S = 15.0
DIES_WITHIN_S = 2.0
BACK_WITHIN_S = 60.0
QUIET_WITHIN_S = 180.0
DAY_S = 86_400
DAYS = 8
# A devnet gives up an engine that dies five times within a minute.
ANVILS, ANVIL_WINDOW_S = 3, 60.0


class Chaos:
    """One run. `windows` counts kills by (point, victim), `missed` points that nobody passed."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        report: bool = True,
        per_chain: int = 2,
        reached_within_s: float = REACHED_WITHIN_S,
    ) -> None:
        self.armed = folder / "armed"
        self.armed.mkdir(parents=True)
        self.stack = Stack(folder / "sandbox")
        self._folder, self._seed, self._report = folder, seed, report
        self._per_chain, self._reached_within_s = per_chain, reached_within_s
        self._chance = random.Random(seed)
        self.windows: Counter[tuple[str, str]] = Counter()
        self.missed: Counter[tuple[str, str]] = Counter()
        self._anvils: list[float] = []
        self.load: Load
        self.comparer: Comparer

    async def run(
        self, kills: Sequence[Kill], *, batch: int = BATCH, until: float = float("inf")
    ) -> list[str]:
        """Play the kills and compare after each batch; what is wrong, in words.

        `until` is on the monotonic clock: a run ends with the first batch after it.
        """
        os.environ[failpoints.TEST_BUILD] = "1"
        os.environ[failpoints.POINTS] = str(self.armed)
        try:
            await asyncio.to_thread(self.stack.up)
            async with Receiver(answer(204)) as receiver:
                return await self._play(kills, receiver, batch, until)
        finally:
            del os.environ[failpoints.TEST_BUILD], os.environ[failpoints.POINTS]
            await asyncio.to_thread(self.stack.down)

    async def _play(
        self, kills: Sequence[Kill], receiver: Receiver, batch: int, until: float
    ) -> list[str]:
        assert self.stack.running is not None
        self.load = Load(self.stack.running, self._seed, per_chain=self._per_chain)
        self.comparer = Comparer(self.load, receiver, self._folder)
        made = {"url": receiver.url, "types": ["*"]}
        await asyncio.to_thread(self.stack.running.post, "/v1/webhook_endpoints", made, "merchant")
        await self.comparer.begin()
        await self.load.start()
        try:
            for done, kill in enumerate(kills, 1):
                await self._kill(kill)
                is_last = done == len(kills) or time.monotonic() > until
                if done % batch == 0 or is_last:
                    await self._compare(whole=is_last)
                if self.wrong or is_last:
                    break
            if not self.wrong:
                await self._pay_everything_out()
            if not self.wrong:
                await self._restart_changes_nothing()
        except Lost as lost:
            self.comparer.wrong.append(str(lost))
        finally:
            await self.load.close()
        return self.wrong

    @property
    def wrong(self) -> list[str]:
        return [*self.load.broken, *self.comparer.wrong]

    def say(self, text: str) -> None:
        if self._report:
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    # -- killing

    async def _kill(self, kill: Kill) -> None:
        """Kill once; a point that nobody passes in time is made up for at a random moment."""
        if kill.victim == ANVIL:
            await self._spare_the_keeper()
        if kill.by_clock:
            await self.load.pause()
        killed = await self._at(kill)
        if not killed:
            self.missed[kill.window] += 1
            self.say(f"nobody passed {kill.point}")
            kill = Kill(kill.victim)
            killed = await self._at(kill)
        self.load.resume()
        self.windows[kill.window] += 1
        self.say(f"{sum(self.windows.values())}: {kill.victim} killed, {kill.point}")
        if kill.victim == SUPERVISOR:
            await asyncio.to_thread(self._up_again)
        elif self._chance.random() > 0.2:  # else the next kill finds it not yet back
            await self._back(kill.victim, killed)
        await asyncio.sleep(self._chance.uniform(0, 0.7))

    async def _at(self, kill: Kill) -> Process | None:
        """The process that was killed; None when its point was not passed in time."""
        if kill.point == MOMENT:
            await asyncio.sleep(self._chance.uniform(0, 1.0))
            victim = await self._victim(kill.victim)
            victim.signal(signal.SIGKILL)
            return victim
        victim = await self._victim(kill.victim)
        file, written = self.armed / kill.point, self._folder / "arming"
        written.write_text(f"{kill.count} {victim.pid}")
        written.replace(file)
        began, patience_s = time.monotonic(), self._reached_within_s * (2 if kill.by_clock else 1)
        days = 0
        while time.monotonic() < self.load.following.since(began) + patience_s:
            if not file.exists():
                return victim if await _dies(victim) else None
            if not victim.alive():  # it was not yet through with an earlier kill
                victim = await self._victim(kill.victim)
                written.write_text(f"{kill.count} {victim.pid}")
                written.replace(file)
            if kill.by_clock and days < DAYS:
                days += 1
                await self._next_day()
            await asyncio.sleep(0.02)
        file.unlink(missing_ok=True)
        return None

    async def _next_day(self) -> None:
        """Also when nobody answers: what was asked may be done when others are asked again."""
        before = await self.load.now()
        body = {"advance_s": DAY_S}
        await self.load.post("/v1/sandbox/clock", body, "no-key-needed", "operator")
        until = time.monotonic() + REACHED_WITHIN_S
        while await self.load.now() < before + timedelta(days=1) and time.monotonic() < until:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.4)

    async def _victim(self, name: str) -> Process:
        until = time.monotonic() + BACK_WITHIN_S
        while time.monotonic() < until:
            found = self._find(name)
            if found is not None:
                return found
            await asyncio.sleep(0.02)
        raise Lost(f"{name} did not come back within {BACK_WITHIN_S} s")

    def _find(self, name: str) -> Process | None:
        assert self.stack.process is not None
        if name == SUPERVISOR:
            return Process.of(self.stack.process.pid)
        try:
            if name == ANVIL:
                return _child_of(self.stack.pids()["evm"], b"anvil", self._chance)
            if name == BACKEND:
                return _child_of(self.stack.pids()[POSTGRES], b"sbx_app", self._chance)
            return Process.of(self.stack.pids()[name])
        except (OSError, ValueError, KeyError):
            return None  # the list of children is being written, or it is gone

    async def _back(self, name: str, killed: Process | None) -> None:
        """Wait until another process stands in the place of the killed one and all is ready."""
        until = time.monotonic() + BACK_WITHIN_S
        while killed is not None and killed.alive() and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await self._victim(name)
        await self.load.get("/readyz")

    def _up_again(self) -> None:
        assert self.stack.process is not None
        assert self.stack.running is not None
        self.stack.process.wait(30)
        self.stack.running.close()
        try:
            self.load.running = self.stack.up()
        except AssertionError as silent:
            raise Lost(f"the killed sandbox does not come up again: {silent}") from None

    async def _spare_the_keeper(self) -> None:
        while True:
            now = time.monotonic()
            self._anvils = [at for at in self._anvils if now - at < ANVIL_WINDOW_S]
            if len(self._anvils) < ANVILS:
                self._anvils.append(now)
                return
            await asyncio.sleep(0.5)

    # -- comparing

    async def _compare(self, *, whole: bool) -> None:
        await self.load.pause()
        await self._quiet()
        await self.comparer.compare(whole=whole)
        self.say(
            f"compared {len(self.load.paid)} payments, {len(self.load.holders.sent)} redemptions"
            f" and moves, {len(self.load.answers)} answers"
            f" ({self.load.repeats} repeated): {'wrong' if self.wrong else 'all as it must be'}"
        )
        for one in self.wrong:
            self.say(f"  {one}")
        if not self.wrong and not whole:
            self.load.resume()

    async def _quiet(self) -> None:
        began = time.monotonic()
        while time.monotonic() < self.load.following.since(began) + QUIET_WITHIN_S:
            body = {"timeout_s": 10}
            quiet = await self.load.post("/v1/sandbox/quiesce", body, "no-key-needed", "operator")
            if quiet is not None and quiet.status == 200:
                return
            await asyncio.sleep(0.1)
        raise Lost(f"not quiet within {QUIET_WITHIN_S} s")

    async def _pay_everything_out(self) -> None:
        """Day after day until no redemption waits for the bank; then each has its one payout."""
        holders = self.load.holders
        await holders.reject(0)
        for _ in range(DAYS):
            await self._quiet()
            await holders.retry()
            await self._quiet()
            if not await holders.with_status("pending", "sent", "rejected"):
                break
            await self._next_day()
        await self.comparer.compare(all_paid=True)
        self.say(f"all paid out: {'wrong' if self.wrong else 'all as it must be'}")
        for one in self.wrong:
            self.say(f"  {one}")

    async def _restart_changes_nothing(self) -> None:
        await self._quiet()
        before = await self.comparer.snapshot()
        victim = await self._victim(SUPERVISOR)
        victim.signal(signal.SIGKILL)
        await asyncio.to_thread(self._up_again)
        await self._quiet()
        after = await self.comparer.snapshot()
        if before != after:
            self.comparer.wrong.append(f"after a restart: {before} became {after}")

    def table(self) -> str:
        """Windows hit, as Markdown."""
        lines = ["| Killed | Where | Times |", "|---|---|---|"]
        for (point, victim), times in sorted(
            self.windows.items(), key=lambda each: (VICTIMS.index(each[0][1]), each[0][0])
        ):
            lines.append(f"| {victim} | {point} | {times} |")
        return "\n".join(lines)


async def _dies(victim: Process) -> bool:
    """Whether it was killed: who passed the point kills within a moment, or found it gone."""
    until = time.monotonic() + DIES_WITHIN_S
    while victim.alive() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    return not victim.alive()


def _child_of(parent: int, name: bytes, chance: random.Random) -> Process | None:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    named = [
        int(child) for child in children if name in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return Process.of(chance.choice(named)) if named else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.runner", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--windows", choices=sorted(WINDOWS), default="all")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop then")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kzte-chaos-"))
    folder.chmod(0o711)
    print(f"seed {asked.seed}, {asked.kills} kills, in {folder}", flush=True)
    chaos = Chaos(folder, asked.seed)
    began = time.monotonic()
    until = began + asked.minutes * 60
    wrong = asyncio.run(chaos.run(drawn(asked.seed, asked.kills, asked.windows), until=until))
    hit = sum(chaos.windows.values())
    print(f"\n{chaos.table()}\n")
    if chaos.missed:
        print(f"not passed in time: {dict(chaos.missed)}")
    print(
        f"seed {asked.seed}: {hit} kills in {len(chaos.windows)} windows,"
        f" {len(chaos.load.paid)} payments, {len(chaos.load.holders.sent)} redemptions and moves,"
        f" {len(chaos.load.answers)} answers,"
        f" {time.monotonic() - began:.0f} s: {'WRONG' if wrong else 'nothing lost or doubled'}"
    )
    for one in wrong:
        print(f"  {one}")
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
