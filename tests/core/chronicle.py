"""Who held what, and when: bookkeeping beside the cluster, with exact times, to judge the planner by.

The stamps that the planner goes by are what is on trial, so they are no witness
here. By the reasoning of world.py, a live proxy may hold the certificate and the
bundle of any version that was the newest at some moment of the last D + T, and
an istiod may go from any version of the last D straight to the newest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product

from meshca.pki.certs import Certificate


@dataclass(frozen=True)
class Content:
    """What matters of one version of a target's Secret."""

    intermediate: Certificate
    signer: Certificate
    bundle: tuple[Certificate, ...]

    @property
    def ends(self) -> datetime:
        """When the last certificate under it is dead."""
        return min(self.intermediate.not_after, self.signer.not_after)

    def follows(self, other: "Content") -> bool:
        """Tell whether an istiod that has loaded the other loads this one."""
        return self.names <= other.names or self.names >= other.names

    @property
    def names(self) -> frozenset[str]:
        """The roots that are trusted, as a set."""
        return frozenset(root.fingerprint for root in self.bundle)


@dataclass
class Entry:
    """A version while it was the newest of its target."""

    target: str
    content: Content
    begin: datetime
    end: datetime | None = None

    def was_newest_since(self, moment: datetime) -> bool:
        """Tell whether it was so at any time since then."""
        return self.end is None or self.end >= moment


@dataclass
class Chronicle:
    """Every version of every target.

    Attributes:
        delay: D.
        life: T.
    """

    delay: timedelta
    life: timedelta
    entries: list[Entry] = field(default_factory=list)

    def close(self, target: str, now: datetime) -> None:
        """Note that what the target held is not its newest version any more."""
        for entry in self.entries:
            if entry.target == target and entry.end is None:
                entry.end = now

    def write(self, target: str, content: Content, now: datetime) -> None:
        """Note a new version."""
        self.close(target, now)
        self.entries = [entry for entry in self.entries if entry.was_newest_since(now - self.delay - self.life)]
        self.entries.append(Entry(target, content, now))

    def forget(self, target: str) -> None:
        """Leave a target out of all judgement."""
        self.entries = [entry for entry in self.entries if entry.target != target]

    def living(self, now: datetime) -> list[Entry]:
        """Return the versions under which a live proxy may have its certificate and its bundle.

        What is valid for this second and no longer is beyond saving, and does not count.
        """
        since = now - self.delay - self.life
        return [entry for entry in self.entries if entry.was_newest_since(since) and entry.content.ends > now]

    def mountable(self, now: datetime) -> list[Entry]:
        """Return the versions that an istiod may have loaded, or may yet load."""
        return [entry for entry in self.entries if entry.was_newest_since(now - self.delay)]

    def failures(self, now: datetime) -> Iterator[str]:
        """Yield every handshake that may fail."""
        for client, server in product(self.living(now), repeat=2):
            if client.content.signer.fingerprint not in server.content.names:
                yield f"{_tell(client)} is not trusted by {_tell(server)}"

    def refusals(self, target: str, now: datetime) -> Iterator[str]:
        """Yield every way in which the target's istiod may refuse its newest version."""
        mountable = [entry for entry in self.mountable(now) if entry.target == target]
        for older in mountable[:-1]:
            if not mountable[-1].content.follows(older.content):
                yield f"an istiod that has {_tell(older)} refuses {_tell(mountable[-1])}"


def _tell(entry: Entry) -> str:
    roots = ", ".join(root.subject for root in entry.content.bundle)
    return f"{entry.target} of {entry.begin}: under {entry.content.signer.subject}, trusts {roots}"
