"""What the lab refuses by name."""

from sandbox.core.errors import SandboxError


class FloatRefilling(SandboxError):
    """The faucet's float is short; more is being minted, and the same request may come again."""

    status, code = 503, "float_refilling"

    def __init__(self, chain: str) -> None:
        super().__init__(f"the float on {chain} is being refilled", chain=chain)


class FaucetToItself(SandboxError):
    """The faucet pays out of the treasury, so it cannot pay into it."""

    status, code = 422, "faucet_to_own_address"
    fields = ("address",)

    def __init__(self, chain: str, address: str) -> None:
        super().__init__("this address is the sandbox's own", chain=chain, address=address)


class ClockNotMovable(SandboxError):
    """A chain without control methods would not follow (CONTRACT 6)."""

    status, code = 409, "clock_not_movable"

    def __init__(self, chain: str) -> None:
        super().__init__(f"the clock of {chain} cannot be moved", chain=chain)


class StillBusy(SandboxError):
    """The sandbox did not come to rest in time; `left` says what it still does."""

    status, code = 504, "still_busy"

    def __init__(self, timeout_s: int, left: list[str]) -> None:
        super().__init__(f"still busy after {timeout_s} s", timeout_s=timeout_s, left=left)


class NoSupervisor(SandboxError):
    """Whoever started these processes keeps no snapshots: `sandbox up` does (CONTRACT 6)."""

    status, code = 501, "no_supervisor"

    def __init__(self) -> None:
        super().__init__("snapshots need the supervisor of `sandbox up`")


class ScenarioUnknown(SandboxError):
    """Neither a scenario nor an event type that one brings about."""

    status, code = 422, "scenario_unknown"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"no scenario {name}", name=name, known=known)


class ScenarioStuck(SandboxError):
    """What a scenario waited for did not come; `did` says how far it got."""

    status, code = 504, "scenario_stuck"

    def __init__(self, what: str, seconds: float, did: list[str]) -> None:
        super().__init__(f"waited {seconds:.0f} s for {what}", waited_for=what, did=did)


class NotAPayer(SandboxError):
    """Only payers pay a session that is there already."""

    status, code = 422, "scenario_takes_no_session"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} makes its own sessions", name=name)


class OneChainOnly(SandboxError):
    """The scenario needs a second chain."""

    status, code = 422, "one_chain_only"

    def __init__(self, chain: str) -> None:
        super().__init__(f"there is no other chain than {chain}", chain=chain)


class FaultUnknown(SandboxError):
    """There is no failure switch of this name."""

    status, code = 422, "fault_unknown"

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"no fault {name}", known=known)


class PanelOff(SandboxError):
    """Passers-by may not play with the sessions of this sandbox."""

    status, code = 403, "test_panel_off"

    def __init__(self) -> None:
        super().__init__("the test panel is off; SANDBOX_TEST_PANEL=true turns it on")


class NotAnInstant(SandboxError):
    """The clock moves to instants with their offset from UTC, and to the next cut-off."""

    status, code = 422, "not_an_instant"

    def __init__(self, until: str) -> None:
        super().__init__("send 2026-11-23T18:00:00+05:00 or next_cut_off", until=until)
