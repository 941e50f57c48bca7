"""Chain time: wall clock plus an offset, or frozen. It knows no database and no other clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from sandbox.core.chance import START

START_MS: Final = round(START.timestamp() * 1000)


@dataclass(slots=True)
class ChainClock:
    """Milliseconds since 1970; the control method moves it, the journal keeps it."""

    offset_ms: int = 0
    frozen_at_ms: int | None = None

    def now_ms(self) -> int:
        """Chain time now, in Unix milliseconds."""
        if self.frozen_at_ms is not None:
            return self.frozen_at_ms
        return time.time_ns() // 1_000_000 + self.offset_ms

    def stand(self) -> None:
        """Stand where the clock of every seeded world stands first."""
        self.frozen_at_ms = START_MS

    def now_s(self) -> int:
        """Chain time now, in whole Unix seconds (what blocks carry)."""
        return self.now_ms() // 1000
