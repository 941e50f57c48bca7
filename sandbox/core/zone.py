"""Where the pilot city is in time: bank days are counted there, and people read their clocks."""

from typing import Final
from zoneinfo import ZoneInfo

ALMATY: Final = ZoneInfo("Asia/Almaty")
"""UTC+5 since March 2024; by name, because history had another offset."""
