"""What a test run is told when there is no sandbox to test with."""


class SandboxTrouble(Exception):
    """The sandbox itself is missing, in use or gone: no finding about the code under test."""


class SandboxMissing(SandboxTrouble):
    """The `sandbox` program is not there."""


class SandboxDidNotStart(SandboxTrouble):
    """`sandbox up` ended, or said nothing in time; the text has the end of its log."""


class SandboxDied(SandboxTrouble):
    """It was up and is gone; the text has the end of its log."""


class SandboxInUse(SandboxTrouble):
    """Another test run restores the worlds of this data directory."""


class NoRestore(SandboxTrouble):
    """This sandbox cannot go back to a world."""


class NoSuchWorld(SandboxTrouble):
    """A mark names a snapshot that nobody has taken."""


class WorldLeft(SandboxTrouble):
    """A killed run could not bring the world of a data directory back."""


class NotSeen(AssertionError):
    """What was waited for did not happen in time; the text says what did."""
