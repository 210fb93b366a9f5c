"""What an operator sees, small enough to be compared: stamps as ages in ticks, and no certificates.

Translates between this and the `Observed` that the real `plan()` and the real
`carry_out()` work on. Roots and intermediates live for years here; how they end
is the business of test_properties.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from meshca.core.actions import Action
from meshca.core.model import Absent, Adoptable, Blocked, Observed, Original, Published, Root, TargetState
from meshca.core.outcomes import Step
from meshca.core.parse import parse_spec
from meshca.core.questions import Answer, AskReaders, AskReload, AskTarget, Reader
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


THEIRS = 0
"""The root of a CA that was there before."""


class Version(NamedTuple):
    """One version of a cacerts: the root it signs under, and the roots it trusts, newest first."""

    signer: int
    bundle: tuple[int, ...]


class Process(NamedTuple):
    """An istiod as it is seen: how long ago it was started, and the roots that it tells workloads to trust."""

    age: int
    told: tuple[int, ...]
    is_own: bool = False
    """It runs on a CA of its own making, and looks for no cacerts. That cannot be seen."""


class Stored(NamedTuple):
    """A target's Secret: its content, and its stamps as ages."""

    version: Version
    written: int
    bundle_since: int
    signer_since: int
    is_due: bool = False
    """A new intermediate is asked for."""
    is_theirs: bool = False
    """It is as somebody else made it, untouched or again."""


class RootSecret(NamedTuple):
    """A root's Secret; without its key, what bundles still show of it."""

    revision: int
    state: RootState | None
    has_key: bool = True
    replaces_theirs: bool = False
    """It was made in place of somebody else's root."""


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
    adopts: bool = False
    """Somebody else's CA is to be taken over. Its root is root 0."""
    kept: tuple[int, ...] = ()
    """The targets of which that CA is kept."""
    self_signed: bool = False
    """That CA is one that istiod made for itself."""
    istiods: tuple["Process", ...] = ()
    """What loads changed roots only when it starts, for each target; empty: they are loaded at any time."""


def put(items: tuple[Any, ...], index: int, item: object) -> tuple[Any, ...]:
    """Return the same items with one replaced."""
    return (*items[:index], item, *items[index + 1 :])


def seen(cluster: Cluster) -> Cluster:
    """Forget the roots that neither a Secret nor a bundle shows."""
    shown = {revision for stored in cluster.targets if stored for revision in stored.version.bundle}
    shown |= {THEIRS} if cluster.kept else set()
    return cluster._replace(roots=tuple(root for root in cluster.roots if root.has_key or root.revision in shown))


class Mishap(NamedTuple):
    """What careless hands can do to a cluster at one stroke: of which kind, to which object, and what is left."""

    kind: str
    hit: str | int
    left: Cluster


def mishaps(cluster: Cluster) -> Iterator[Mishap]:
    """Yield every mishap there can be. A deleted Secret stays mounted until there is another."""
    if cluster.kept or any(stored and stored.is_theirs for stored in cluster.targets):
        yield Mishap("waver", "owner", cluster._replace(adopts=not cluster.adopts))
    for index, stored in enumerate(cluster.targets):
        states = [root.state for root in cluster.roots if root.has_key]
        # Once our root has signed, it is an outage by itself.
        if stored is not None and index in cluster.kept and states == [RootState.PREPARED]:
            back = Stored(Version(THEIRS, (THEIRS,)), 0, 0, 0, is_theirs=True)
            yield Mishap("revert", f"t{index}", seen(cluster._replace(targets=put(cluster.targets, index, back))))
        if stored is not None and not stored.is_theirs:  # else nothing is known yet: that is for the first look
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
        restarts: whether istiods may be restarted.
        loads_roots: whether they load changed roots while they run, too.
    """

    delay: int
    life: int
    targets: int
    long: int
    renewals: bool
    restarts: bool = False
    loads_roots: bool = True
    _written: dict[tuple[Cluster, Action], Cluster] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def young(self) -> int:
        """The age beyond which a process is as old as any, and younger than what was written at the age of `long`."""
        return self.long - self.delay - 1

    def spec(self, cluster: Cluster) -> MeshCASpec:
        """Return what the owner wants."""
        asked = NOW - TICK if cluster.is_asked else None
        spec = self._plain(adopts=cluster.adopts)
        return replace(spec, root=replace(spec.root, issued_after=asked))

    @property
    def _numbers(self) -> range:
        return range(self.targets)

    def _plain(self, *, adopts: bool) -> MeshCASpec:
        istio: dict[str, Any] = {"adopt": {"rootFingerprint": "ab" * 32}} if adopts else {}
        istio |= {"rootReload": "Restart"} if self.restarts else {}
        spec = parse_spec(
            "mesh",
            {
                "workload": {"maxCertificateDuration": f"{self.life}s"},
                "rotation": {"propagationDelay": f"{self.delay}s"},
                "targets": [{"name": f"t{n}", "istio": {"namespace": f"istio-{n}"} | istio} for n in self._numbers],
            },
            KINDS,
        )
        return replace(spec, intermediate=replace(spec.intermediate, issued_after=NOW - TICK))

    def observed(self, cluster: Cluster) -> Observed:
        """Return what the rules are shown."""
        roots = tuple(
            Root(
                revision=each.revision,
                certificate=_root_certificate(each.revision),
                state=each.state,
                has_key=each.has_key,
                adopted=each.revision == THEIRS,
                replaces=self._replaces(each),
            )
            for each in cluster.roots
        )
        targets = {f"t{index}": _seen(cluster, index) for index in self._numbers}
        since = None if cluster.deployed is None else NOW - cluster.deployed * TICK
        reload = Answer(Found.MULTI_ROOT_DISABLED if cluster.ignores_roots else None, "", since)
        answers: dict[AskTarget, Answer] = {AskReload(name): reload for name in targets}
        for index, each in enumerate(cluster.istiods):
            process = _process(each)
            answers |= {AskReaders(f"t{index}"): process} | (
                {} if self.loads_roots else {AskReload(f"t{index}"): process}
            )
        originals = {f"t{index}": _original(cluster, index) for index in cluster.kept}
        return Observed(roots=roots, targets=targets, answers=answers, originals=originals)

    def _replaces(self, root: RootSecret) -> tuple[str, ...]:
        """Return the roots before one. Where that matters, there always was one: the oldest in sight is called 1."""
        theirs = (_THEIR_ROOT.fingerprint,) if root.replaces_theirs else ()
        return (*theirs, "an earlier one") if self.restarts else theirs

    def after(self, cluster: Cluster, action: Action) -> Cluster:
        """Return what is seen once an action has been carried out."""
        if (cluster, action) not in self._written:
            spec = self.spec(cluster)
            observed = carry_out(spec, self.observed(cluster), Step(action, Found.PENDING, "nobody reads it"), NOW)
            read = self._read(spec, observed)
            self._written[cluster, action] = read._replace(
                ignores_roots=cluster.ignores_roots,
                deployed=cluster.deployed,
                adopts=cluster.adopts,
                istiods=cluster.istiods,
                self_signed=cluster.self_signed,
            )
        return self._written[cluster, action]

    def older(self, cluster: Cluster) -> Cluster:
        """Return the same a tick later."""
        return cluster._replace(
            targets=tuple(stored and self._older(stored) for stored in cluster.targets),
            deployed=None if cluster.deployed is None else min(cluster.deployed + 1, self.long),
            istiods=tuple(self._older_process(cluster, index) for index in range(len(cluster.istiods))),
        )

    def _older_process(self, cluster: Cluster, index: int) -> Process:
        """Let a process be older; one from before the last change of its roots stays so, however long ago that was."""
        process, stored = cluster.istiods[index], cluster.targets[index]
        is_old = stored is None or process.age > stored.bundle_since - self.delay - 1
        return process._replace(age=min(process.age + 1, self.long if is_old else self.young))

    def _older(self, stored: Stored) -> Stored:
        return stored._replace(
            written=min(stored.written + 1, self.long),
            bundle_since=min(stored.bundle_since + 1, self.long),
            signer_since=min(stored.signer_since + 1, self.long),
        )

    def _read(self, spec: MeshCASpec, observed: Observed) -> Cluster:
        targets = tuple(self._stored(spec, observed, name) for name in observed.targets)
        roots = tuple(
            RootSecret(root.revision, root.state, root.has_key, _THEIR_ROOT.fingerprint in root.replaces)
            for root in observed.roots
        )
        kept = tuple(sorted(int(name[1:]) for name in observed.originals))
        asked = spec.root.issued_after
        is_asked = asked is not None and all(root.issued_at < asked for root in observed.roots)
        return seen(Cluster(roots, targets, is_asked, kept=kept))

    def _stored(self, spec: MeshCASpec, observed: Observed, name: str) -> Stored | None:
        target, original = observed.targets[name], observed.originals.get(name)
        if isinstance(target, Blocked | Adoptable):
            return Stored(Version(THEIRS, (THEIRS,)), 0, 0, 0, is_theirs=True)
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
            is_theirs=original is not None and original.in_place,
        )

    def _age(self, stamp: datetime) -> int:
        return min((NOW - stamp) // TICK, self.long)


def _process(process: Process) -> Answer:
    reader = Reader(name="istiod", uid="u", starts=(NOW - process.age * TICK,))
    told = frozenset(_root_certificate(revision).fingerprint for revision in process.told)
    return Answer(None, "", readers=(reader,), told=told)


def _root_certificate(revision: int) -> Certificate:
    return _certificate(f"root {revision}", f"root {revision}", BEFORE)


def _seen(cluster: Cluster, index: int) -> TargetState:
    stored = cluster.targets[index]
    if stored is None or not stored.is_theirs or (cluster.adopts and index in cluster.kept):
        return _target(stored)
    if not cluster.adopts:
        return Blocked(Found.FOREIGN_SECRET, "it is somebody else's")
    return Adoptable(
        intermediate=_certificate("intermediate", f"root {THEIRS}", NOW),
        root=_THEIR_ROOT,
        bundle=(_THEIR_ROOT,),
        written_at=NOW - stored.written * TICK,
    )


def _original(cluster: Cluster, index: int) -> Original:
    stored = cluster.targets[index]
    root = Root(revision=THEIRS, certificate=_THEIR_ROOT, has_key=False, adopted=True)
    return Original(
        intermediate=_certificate("intermediate", f"root {THEIRS}", NOW),
        signer=THEIRS,
        roots=(root,),
        in_place=stored is not None and stored.is_theirs,
        self_signed=cluster.self_signed,
    )


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
        editor="somebody" if stored.is_theirs else None,
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


_THEIR_ROOT = _certificate(f"root {THEIRS}", f"root {THEIRS}", BEFORE)
