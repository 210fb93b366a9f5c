"""One MeshCA at one moment: what its labels ask for, and where its targets are.

Derives from what was observed; decides nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from meshca.core.model import Damaged, Holding, Observed, Published, Root, TargetState
from meshca.core.outcomes import NOTHING_ASIDE, Aside
from meshca.core.spec import MeshCASpec
from meshca.pki.certs import Certificate
from meshca.words.names import ADOPTED, RETIRING, Phase, RootState

ISSUING = timedelta(minutes=5)
"""Between the signature of a root and its Secret: an RSA key of 8192 bits takes its time."""


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
    aside: Aside = NOTHING_ASIDE

    @property
    def published(self) -> dict[str, Published]:
        """The targets that have a CA of ours, by name."""
        return {name: state for name, state in self.observed.targets.items() if isinstance(state, Published)}

    @property
    def held(self) -> dict[str, Holding]:
        """The targets whose object is ours, by name."""
        return {name: state for name, state in self.observed.targets.items() if isinstance(state, Holding)}

    @property
    def issuing(self) -> dict[str, TargetState]:
        """The targets that get a CA, by name: who signs, and what is served, is told by them alone."""
        return {target.name: self.observed.targets[target.name] for target in self.spec.issuing}

    def title(self, name: str) -> str:
        """Name a target as in a sentence."""
        return self.spec.target(name).title

    def is_in_place(self, name: str) -> bool:
        """Tell whether a target has what it had before it was to be taken over, untouched or again."""
        original = self.observed.originals.get(name)
        return original is not None and original.in_place

    def root(self, revision: int) -> Root:
        """Return the root of this revision."""
        return next(root for root in self.observed.roots if root.revision == revision)

    def signer_of(self, target: Published) -> Root | None:
        """Return the root that a target's intermediate is under.

        Of a root's copies with one key and name, each has signed it: the one that
        should sign counts, else the newest.
        """
        signers = [root for root in self.observed.roots if root.signed(target.chain[-1])]
        wanted = self.standing.signer if self.standing is not None else None
        return wanted if wanted in signers else next(reversed(signers), None)

    def state_of(self, root: Root) -> str:
        """Name what a root is: the newest is what its label says, an older one is retiring, somebody else's adopted."""
        if root.adopted:
            return ADOPTED
        if root.state is RootState.ABANDONED:
            return root.state.value
        if self.standing is not None and root.revision == self.standing.newest.revision:
            return self.standing.state.value
        return RETIRING

    @property
    def roots_in_use(self) -> list[Root]:
        """The roots that there is something to say of: not those that only a copy of somebody else's CA tells of."""
        held = {revision for each in self.held.values() for revision in each.bundle}
        return [root for root in self.observed.roots if not root.adopted or root.revision in held]

    def can_sign(self, root: Root) -> bool:
        """Tell whether a root can sign anything that would be valid."""
        return root.has_key and self.now < root.certificate.not_after and not self.is_early(root.certificate)

    def is_early(self, certificate: Certificate) -> bool:
        """Tell whether a certificate is not valid yet: then it was made by a clock that was ahead.

        Or the clock is behind now: so only when this pod's own clock agrees with the API server's.
        """
        return self.observed.is_clock_sure and self.now < certificate.not_before

    @property
    def next_revision(self) -> int:
        """Return the revision of the next root: never one that was used before."""
        return max((root.revision for root in self.observed.roots), default=0) + 1


def situate(spec: MeshCASpec, observed: Observed, now: datetime, aside: Aside = NOTHING_ASIDE) -> Situation:
    """Put together what the rules look at."""
    bare = Situation(spec, observed, now, None, aside)
    return replace(bare, standing=_stand(bare))


def newest_first(revisions: Iterable[int]) -> tuple[int, ...]:
    """Put revisions in the order of a bundle."""
    return tuple(sorted(set(revisions), reverse=True))


def phase(situation: Situation) -> Phase:
    """Name the phase that a MeshCA is in."""
    standing = situation.standing
    targets = [state for state in situation.issuing.values() if isinstance(state, Published | Damaged)]
    if standing is None or not targets:
        return Phase.PENDING
    arrived = [standing.newest.revision in target.bundle for target in targets]
    switched = [isinstance(each, Published) and situation.signer_of(each) == standing.newest for each in targets]
    signers = [situation.signer_of(each) for each in targets if isinstance(each, Published)]
    # Under a root that is sole already, they are taken over beside others.
    is_joining = any(signer is not None and signer.adopted for signer in signers) and not standing.newest.adopted
    match standing.state:
        case RootState.SOLE if is_joining:
            return Phase.TRUST if all(arrived) else Phase.PREPARE
        case RootState.PREPARED:
            return Phase.TRUST if all(arrived) else Phase.PREPARE
        case RootState.ACTIVE:
            return Phase.DRAIN if all(switched) else Phase.SWITCH
        case _:
            retiring = any(root.has_key for root in standing.older) or any(len(each.bundle) > 1 for each in targets)
            return Phase.RETIRE if retiring and standing.newest.has_key else Phase.STEADY


def is_rotating(situation: Situation) -> bool:
    """Tell whether a rotation is under way."""
    return phase(situation) not in {Phase.STEADY, Phase.PENDING}


def _stand(situation: Situation) -> Standing | None:
    """Read the labels; a root whose Secret is lost counts only while it still signs."""
    roots = [root for root in situation.observed.roots if root.state is not RootState.ABANDONED]
    signing = {root.revision for each in situation.published.values() if (root := situation.signer_of(each))}
    usable = [root for root in roots if root.has_key or root.revision in signing]
    if not usable:
        return None
    newest = usable[-1]
    older = tuple(root for root in roots if root.revision < newest.revision)
    state = _state(newest, older, signs=newest.revision in signing)
    trusted = () if state is RootState.SOLE and newest.has_key else _trusted(situation, newest, older)
    predecessor = next(reversed(trusted), newest)
    signer = predecessor if state is RootState.PREPARED else newest
    bundle = (newest.revision, *newest_first(root.revision for root in trusted))
    return Standing(newest, state, signer, bundle, older)


def _state(newest: Root, older: tuple[Root, ...], *, signs: bool) -> RootState:
    if newest.state is not None:
        return newest.state
    if not newest.has_key or not older:
        return RootState.SOLE
    return RootState.ACTIVE if signs else RootState.PREPARED


def _trusted(situation: Situation, newest: Root, older: tuple[Root, ...]) -> list[Root]:
    """Return the older roots that belong into every bundle while the newest is not alone, oldest first.

    What a target still holds; and, where the Secret of a target is lost and nobody can
    tell what it held, every root back to the last that was sole, also if its Secret is
    being deleted: those before that one had been retired for good, and come back only
    from a backup or held by a finalizer. Somebody else's only as long as none of ours has come in their place.
    When the newest root's Secret is lost, and its label with it, what is held must do.
    """
    held = {revision for target in situation.held.values() for revision in target.bundle}
    recent: set[int] = set()
    ours = [root for root in older if not root.adopted]
    for root in reversed((ours or older) if newest.has_key else ()):
        if not _is_restored(root, (*older, newest)):
            recent.add(root.revision)
        if root.state is RootState.SOLE:
            break
    return [root for root in older if root.revision in held | recent]


def _is_restored(root: Root, roots: tuple[Root, ...]) -> bool:
    """Tell whether a root's Secret came back from a backup: it was created after a newer root had been issued.

    Where the newer one was restored as well, the order tells nothing.
    """
    return any(
        root.created is not None
        and root.revision < newer.revision
        and newer.issued_at < root.created
        and (newer.created is None or newer.created <= newer.issued_at + ISSUING)
        for newer in roots
        if not newer.given
    )


def is_spent(situation: Situation, target: Published, signer: Root) -> bool:
    """Tell whether nothing that the target signs can be valid now."""
    chain = (*target.chain, signer.certificate)
    return situation.now > min(each.not_after for each in chain) or any(map(situation.is_early, chain))
