"""What a verification of a log found."""

from dataclasses import asdict, dataclass, field

MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be: a stable code, where, and what."""

    code: str
    where: str
    detail: str


@dataclass(frozen=True, slots=True)
class Former:
    """An epoch that a restored one goes on from: how long it was, and what is kept of it."""

    epoch: int
    origin: str
    size: int
    kept_size: int


@dataclass(slots=True)
class Report:
    """What a verification found. `ok` is the whole answer; a log that cannot be read is not ok.

    `entries` is how many entries were read and hashed: 0 when only the public hash tiles of a
    running sandbox were checked, for want of a regulator's key. `former` are the epochs that this
    one goes on from, the first of all the last.
    """

    origin: str = ""
    size: int = 0
    root: str = ""
    entries: int = 0
    since_size: int | None = None
    former: list[Former] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0

    @property
    def ok(self) -> bool:
        return not self.findings

    def add(self, code: str, where: str, detail: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(code, where, detail))
        else:
            self.more_findings += 1

    def take(self, other: "Report", within: str) -> None:
        """What was found in a part of it, which stands at `within`."""
        for one in other.findings:
            self.add(one.code, within + one.where, one.detail)
        self.more_findings += other.more_findings

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ok": self.ok}
