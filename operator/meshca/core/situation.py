"""One MeshCA at one moment: what its labels ask for, and where its targets are.

Derives from what was observed; decides nothing.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from meshca.core.model import Observed, Published, Root
from meshca.core.spec import MeshCASpec
from meshca.names import RETIRING, Phase, RootState

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the labels of the roots ask of every target."""

    newest: Root
    state: RootState
    signer: Root
    bundle: tuple[int, ...]
    """Revisions, newest first: the order that every peer validates (an expired same-key copy must not come first)."""
    older: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """One MeshCA at one moment, as every rule sees it."""

    spec: MeshCASpec
    observed: Observed
    now: datetime
    standing: Standing | None

    @property
    def published(self) -> dict[str, Published]:
        """The targets whose Secret is ours, by name."""
        return {name: state for name, state in self.observed.targets.items() if isinstance(state, Published)}

    def root(self, revision: int) -> Root:
        """Return the root of this revision."""
        return next(root for root in self.observed.roots if root.revision == revision)

    def signer_of(self, target: Published) -> Root | None:
        """Return the root that a target's intermediate is under.

        Of a root's copies with one key and name, each has signed it: the one that
        should sign counts, else the newest.
        """
        if target.intermediate is None:
            return None
        signers = [root for root in self.observed.roots if root.signed(target.intermediate)]
        wanted = self.standing.signer if self.standing is not None else None
        return wanted if wanted in signers else next(reversed(signers), None)

    def state_of(self, root: Root) -> str:
        """Name what a root is: the newest is what its label says, an older one is retiring."""
        if self.standing is not None and root.revision == self.standing.newest.revision:
            return self.standing.state.value
        return RETIRING

    def able_since(self, name: str) -> datetime:
        """Return since when a target's istiod can have loaded changed roots; long ago when nothing says otherwise."""
        reload = self.observed.reloads.get(name)
        return reload.since if reload is not None and reload.since is not None else LONG_AGO

    def can_sign(self, root: Root) -> bool:
        """Tell whether a root can sign anything that would be valid."""
        return root.has_key and self.now < root.certificate.not_after

    @property
    def next_revision(self) -> int:
        """Return the revision of the next root: never one that was used before."""
        return max((root.revision for root in self.observed.roots), default=0) + 1


def situate(spec: MeshCASpec, observed: Observed, now: datetime) -> Situation:
    """Put together what the rules look at."""
    bare = Situation(spec, observed, now, None)
    return Situation(spec, observed, now, _stand(bare))


def newest_first(revisions: set[int]) -> tuple[int, ...]:
    """Put revisions in the order of a bundle."""
    return tuple(sorted(revisions, reverse=True))


def phase(situation: Situation) -> Phase:
    """Name the phase that a MeshCA is in."""
    standing, targets = situation.standing, situation.published.values()
    if standing is None or not targets:
        return Phase.PENDING
    arrived = [standing.newest.revision in target.bundle for target in targets]
    switched = [situation.signer_of(target) == standing.newest for target in targets]
    match standing.state:
        case RootState.PREPARED:
            return Phase.TRUST if all(arrived) else Phase.PREPARE
        case RootState.ACTIVE:
            return Phase.DRAIN if all(switched) else Phase.SWITCH
        case RootState.SOLE:
            retiring = any(root.has_key for root in standing.older) or any(len(each.bundle) > 1 for each in targets)
            return Phase.RETIRE if retiring and standing.newest.has_key else Phase.STEADY


def _stand(situation: Situation) -> Standing | None:
    """Read the labels; a root whose Secret is lost counts only while it still signs."""
    roots = situation.observed.roots
    signing = {root.revision for each in situation.published.values() if (root := situation.signer_of(each))}
    usable = [root for root in roots if root.has_key or root.revision in signing]
    if not usable:
        return None
    newest = usable[-1]
    older = tuple(root for root in roots if root.revision < newest.revision)
    state = _state(newest, older, signs=newest.revision in signing)
    signer = older[-1] if state is RootState.PREPARED and older else newest
    trusted = (newest,) if state is RootState.SOLE and newest.has_key else (newest, *reversed(older))
    return Standing(newest, state, signer, tuple(root.revision for root in trusted), older)


def _state(newest: Root, older: tuple[Root, ...], *, signs: bool) -> RootState:
    if newest.state is not None:
        return newest.state
    if not newest.has_key or not older:
        return RootState.SOLE
    return RootState.ACTIVE if signs else RootState.PREPARED


def is_spent(situation: Situation, target: Published, signer: Root) -> bool:
    """Tell whether nothing that the target signs can be valid."""
    assert target.intermediate is not None
    return situation.now > min(target.intermediate.not_after, signer.certificate.not_after)
