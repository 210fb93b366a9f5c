"""What an operator sees, small enough to be compared: stamps as ages in ticks, and no certificates.

Translates between this and the `Observed` that the real `plan()` and the real
`carry_out()` work on. Roots and intermediates live for years here; how they end
is the business of test_properties.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from meshca.core.actions import Action, Step
from meshca.core.model import Absent, Observed, Published, Root
from meshca.core.parse import parse_spec
from meshca.core.questions import Answer, AskReload
from meshca.core.schedule import issued_at
from meshca.core.simulation import carry_out
from meshca.core.spec import MeshCASpec
from meshca.flow.kinds import KINDS
from meshca.pki.certs import BACKDATE, Certificate
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import RootState
from meshca.words.reasons import Found

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(seconds=1)
BEFORE = NOW - timedelta(hours=1)


class Version(NamedTuple):
    """One version of a cacerts: the root it signs under, and the roots it trusts, newest first."""

    signer: int
    bundle: tuple[int, ...]


class Stored(NamedTuple):
    """A target's Secret: its content, and its stamps as ages."""

    version: Version
    written: int
    bundle_since: int
    signer_since: int
    is_due: bool = False
    """A new intermediate is asked for."""


class RootSecret(NamedTuple):
    """A root's Secret; without its key, what bundles still show of it."""

    revision: int
    state: RootState | None
    has_key: bool = True


class Cluster(NamedTuple):
    """All that an operator can see."""

    roots: tuple[RootSecret, ...]
    targets: tuple[Stored | None, ...]
    is_asked: bool = False
    """A root is asked for that is newer than the newest."""
    ignores_roots: bool = False
    """The Deployments of the istiods say that changed roots are not loaded."""
    deployed: int | None = None
    """How long ago those Deployments were changed; None: they never were."""


def put(items: tuple[Any, ...], index: int, item: object) -> tuple[Any, ...]:
    """Return the same items with one replaced."""
    return (*items[:index], item, *items[index + 1 :])


def seen(cluster: Cluster) -> Cluster:
    """Forget the roots that neither a Secret nor a bundle shows."""
    shown = {revision for stored in cluster.targets if stored for revision in stored.version.bundle}
    return cluster._replace(roots=tuple(root for root in cluster.roots if root.has_key or root.revision in shown))


class Mishap(NamedTuple):
    """What careless hands can do to a cluster at one stroke: of which kind, to which object, and what is left."""

    kind: str
    hit: str | int
    left: Cluster


def mishaps(cluster: Cluster) -> Iterator[Mishap]:
    """Yield every mishap there can be. A deleted Secret stays mounted until there is another."""
    for index, stored in enumerate(cluster.targets):
        if stored is not None:
            yield Mishap("delete", f"t{index}", seen(cluster._replace(targets=put(cluster.targets, index, None))))
    for index, root in enumerate(cluster.roots):
        if root.state is not None:
            bare = put(cluster.roots, index, root._replace(state=None))
            yield Mishap("unlabel", root.revision, cluster._replace(roots=bare))
        if root.has_key:
            lost = put(cluster.roots, index, RootSecret(root.revision, None, has_key=False))
            yield Mishap("lose", root.revision, seen(cluster._replace(roots=lost)))


@dataclass(frozen=True)
class Sight:
    """How a cluster looks to an operator that was told D and T.

    Attributes:
        delay: D as it was told, in ticks.
        life: T as it was told, in ticks.
        long: an age beyond every wait.
    """

    delay: int
    life: int
    targets: int
    long: int
    renewals: bool
    _written: dict[tuple[Cluster, Action], Cluster] = field(default_factory=dict, init=False, compare=False, repr=False)

    def spec(self, cluster: Cluster) -> MeshCASpec:
        """Return what the owner wants."""
        asked = NOW - TICK if cluster.is_asked else None
        spec = self._plain
        return replace(spec, root=replace(spec.root, issued_after=asked))

    @property
    def _plain(self) -> MeshCASpec:
        spec = parse_spec(
            "mesh",
            {
                "workload": {"maxCertificateDuration": f"{self.life}s"},
                "rotation": {"propagationDelay": f"{self.delay}s"},
                "targets": [{"name": f"t{n}", "istio": {"namespace": f"istio-{n}"}} for n in range(self.targets)],
            },
            KINDS,
        )
        return replace(spec, intermediate=replace(spec.intermediate, issued_after=NOW - TICK))

    def observed(self, cluster: Cluster) -> Observed:
        """Return what the rules are shown."""
        roots = tuple(
            Root(
                revision=each.revision,
                certificate=_certificate(f"root {each.revision}", f"root {each.revision}", BEFORE),
                state=each.state,
                has_key=each.has_key,
            )
            for each in cluster.roots
        )
        targets = {f"t{index}": _target(stored) for index, stored in enumerate(cluster.targets)}
        since = None if cluster.deployed is None else NOW - cluster.deployed * TICK
        reload = Answer(Found.MULTI_ROOT_DISABLED if cluster.ignores_roots else None, "", since)
        return Observed(roots=roots, targets=targets, answers={AskReload(name): reload for name in targets})

    def after(self, cluster: Cluster, action: Action) -> Cluster:
        """Return what is seen once an action has been carried out."""
        if (cluster, action) not in self._written:
            spec = self.spec(cluster)
            observed = carry_out(spec, self.observed(cluster), Step(action, Found.PENDING, "nobody reads it"), NOW)
            read = self._read(spec, observed)
            self._written[cluster, action] = read._replace(
                ignores_roots=cluster.ignores_roots, deployed=cluster.deployed
            )
        return self._written[cluster, action]

    def older(self, cluster: Cluster) -> Cluster:
        """Return the same a tick later."""
        return cluster._replace(
            targets=tuple(stored and self._older(stored) for stored in cluster.targets),
            deployed=None if cluster.deployed is None else min(cluster.deployed + 1, self.long),
        )

    def _older(self, stored: Stored) -> Stored:
        return stored._replace(
            written=min(stored.written + 1, self.long),
            bundle_since=min(stored.bundle_since + 1, self.long),
            signer_since=min(stored.signer_since + 1, self.long),
        )

    def _read(self, spec: MeshCASpec, observed: Observed) -> Cluster:
        targets = tuple(self._stored(spec, observed, state) for state in observed.targets.values())
        roots = tuple(RootSecret(root.revision, root.state, root.has_key) for root in observed.roots)
        asked = spec.root.issued_after
        is_asked = asked is not None and all(root.issued_at < asked for root in observed.roots)
        return seen(Cluster(roots, targets, is_asked))

    def _stored(self, spec: MeshCASpec, observed: Observed, target: object) -> Stored | None:
        if not isinstance(target, Published):
            return None
        signer = next(root.revision for root in observed.roots if root.signed(target.intermediate))
        asked = spec.intermediate.issued_after
        return Stored(
            Version(signer, target.bundle),
            written=self._age(target.written_at),
            bundle_since=self._age(target.bundle_since),
            signer_since=self._age(target.signer_since),
            is_due=self.renewals and asked is not None and issued_at(target.intermediate) < asked,
        )

    def _age(self, stamp: datetime) -> int:
        return min((NOW - stamp) // TICK, self.long)


def _target(stored: Stored | None) -> Absent | Published:
    if stored is None:
        return Absent()
    return Published(
        intermediate=_certificate("intermediate", f"root {stored.version.signer}", BEFORE if stored.is_due else NOW),
        bundle=stored.version.bundle,
        intact=True,
        written_at=NOW - stored.written * TICK,
        bundle_since=NOW - stored.bundle_since * TICK,
        signer_since=NOW - stored.signer_since * TICK,
    )


def _certificate(name: str, issuer: str, made: datetime) -> Certificate:
    years = 1 if name == "intermediate" else 8
    return Certificate(
        pem=b"",
        subject=f"CN={name}",
        issuer=f"CN={issuer}",
        authority_id=name,
        issuer_id=issuer,
        fingerprint=f"{name} of {made}",
        not_before=made - BACKDATE,
        not_after=made + timedelta(days=365 * years),
        key=KeySpec(Algorithm.ECDSA, 256),
    )
