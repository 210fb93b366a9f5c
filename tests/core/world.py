"""A small mesh in which every order of events is tried: why a rotation is safe, as a model one can read.

Time goes in ticks of one second. There are a few targets, and each has

    a cacerts   what the operator wrote last.
    an istiod   It loads each version at any moment from its write until D later. It
                skips a version when the next is written in the meantime. It refuses
                roots that are neither a subset nor a superset of what it has, and then
                keeps everything, also the old signer. A restarting istiod compares
                nothing: it loads whatever is mounted, and a mount is any version that
                was the newest at some moment of the last D.
    proxies     They renew at any moment. A proxy gets its certificate and its bundle in
                one answer, both from what its istiod has loaded. The certificate lives
                for T; a proxy that did not renew for so long is dead until it does.

Two proxies are enough, wherever they are: proxies do not influence one another,
and a handshake has two ends.

The operator is the real `plan()`; what its writes do to the cluster is the real
`carry_out()`. It has no memory, so a crash between two writes, a restart and an
absence are one and the same: for a while everything else moves on, and it does
not. A second operator may decide, sleep as long as it likes, and then write what
it had decided, unless the object that it writes was written in between.

The owner may ask for another root at any moment, before, during and after a
rotation, without end. The space is finite all the same: everything is told
relative to now (stamps as ages, which stop where no rule tells them apart any
more) and to the oldest root in sight (which is always root 1).

An outage is a state in which two live proxies cannot shake hands, or in which
an istiod signs under a root that it does not trust itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from meshca.core.actions import Action, CleanRoot, CleanTarget, OwnRoot, Step, WriteBundle, WriteCA
from meshca.core.model import Observed
from meshca.core.spec import MeshCASpec
from meshca.words.names import RootState
from tests.core.cluster import NOW, Cluster, RootSecret, Sight, Stored, Version, mishaps, put

Planner = Callable[[MeshCASpec, Observed, datetime], Step | None]
"""Decides the next write, as `plan()` does."""


class Istiod(NamedTuple):
    """What an istiod has loaded, and every version that was the newest one in the last D."""

    loaded: Version
    mountable: tuple[tuple[Version, int], ...]
    """Each with how long ago the next one was written; the last is the newest."""


class Proxy(NamedTuple):
    """A live proxy: the root of its certificate, the certificate's age, and the roots it trusts."""

    target: int
    root: int
    age: int
    bundle: tuple[int, ...]


class Dead(NamedTuple):
    """A proxy whose certificate has expired."""

    target: int


class State(NamedTuple):
    """Everything, at one moment."""

    cluster: Cluster
    istiods: tuple[Istiod, ...]
    proxies: tuple[Proxy | Dead, ...]
    intent: Action | None = None
    """What the second operator has decided and not written yet."""
    mishaps: int = 0
    """How many have happened."""


Events = Iterator[tuple[str, State]]


@dataclass(frozen=True)
class World:
    """The rules of one mesh.

    Attributes:
        planner: who decides.
        delay: D, in ticks.
        life: T, in ticks.
        told: D and T as the operator believes them to be; None: as they are.
        targets: how many there are.
        homes: the targets that the proxies live in.
        loads_roots: whether istiods load changed roots (ISTIO_MULTIROOT_MESH). The operator believes that they do.
        flips: whether its owner may turn that flag off and on. The operator sees it, and every istiod restarts.
        pushes: whether a bundle may reach a proxy before its next renewal (PCDS).
        renewals: whether new intermediates may be asked for at any moment.
        second_operator: whether there is one.
        mishaps: how many there may be in a run.
        kinds: what they may be: to "delete" a cacerts, to "unlabel" a root, to "lose" a root's Secret.
    """

    planner: Planner
    delay: int = 1
    life: int = 2
    told: tuple[int, int] | None = None
    targets: int = 1
    homes: tuple[int, ...] = (0, 0)
    loads_roots: bool = True
    flips: bool = False
    pushes: bool = False
    renewals: bool = False
    second_operator: bool = False
    mishaps: int = 0
    kinds: tuple[str, ...] = ("delete", "unlabel", "lose")
    _decided: dict[Cluster, Step | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def sight(self) -> Sight:
        """How the cluster looks to the operator."""
        delay, life = self.told or (self.delay, self.life)
        long = max(self.delay + self.life, delay + life) + 2
        return Sight(delay, life, self.targets, long, self.renewals)

    def start(self) -> State:
        """Return a mesh that has been at peace for long."""
        peace, old = Version(1, (1,)), self.sight.long
        cluster = Cluster((RootSecret(1, RootState.SOLE),), (Stored(peace, old, old, old),) * self.targets)
        proxies = tuple(Proxy(home, 1, 0, (1,)) for home in self.homes)
        return State(cluster, (Istiod(peace, ((peace, 0),)),) * self.targets, proxies)

    # --- Judging --------------------------------------------------------------

    def outage(self, state: State) -> str | None:
        """Say what does not work in a state, or None."""
        for istiod in state.istiods:
            if istiod.loaded.signer not in istiod.loaded.bundle:
                return f"istiod signs under root {istiod.loaded.signer} and trusts {istiod.loaded.bundle}"
        live = [proxy for proxy in state.proxies if isinstance(proxy, Proxy)]
        for client in live:
            for server in live:
                if client.root not in server.bundle:
                    return f"{client} meets {server}"
        return None

    def is_at_peace(self, state: State) -> bool:
        """Tell whether there is one root everywhere, no key of another one, and nothing asked for."""
        newest = state.cluster.roots[-1]
        peace = Version(newest.revision, (newest.revision,))
        return (
            state.cluster.roots == (newest,)
            and newest.has_key
            and not state.cluster.is_asked
            and all(stored is not None and stored.version == peace for stored in state.cluster.targets)
            and all(istiod == Istiod(peace, ((peace, 0),)) for istiod in state.istiods)
            and all(proxy[1:] == (newest.revision, 0, peace.bundle) for proxy in state.proxies)
        )

    # --- What may happen next -------------------------------------------------

    def events(self, state: State) -> Events:
        """Yield everything that may happen next, with the state after it."""
        yield from self._operators(state)
        yield from self._people(state)
        for index, istiod in enumerate(state.istiods):
            for version, _ in istiod.mountable:
                if version != istiod.loaded:
                    yield f"istiod {index} loads {version}", self._load(state, index, version)
        for index, proxy in enumerate(state.proxies):
            yield f"proxy {index} renews", self._renew(state, index)
            if self.pushes and isinstance(proxy, Proxy):
                yield f"proxy {index} gets a bundle", self._push(state, index, proxy)
        if all(self._is_in_time(state, istiod) for istiod in state.istiods):
            yield "a second passes", self._tick(state)

    def a_busy_second(self, state: State) -> State:
        """Return the state after everybody has done what there was to do, without restarts, and a second has passed."""
        state = state._replace(intent=None)
        if state.cluster.ignores_roots:
            state = self._flip(state)
        while (step := self.decide(state.cluster)) is not None:
            state = self._write(state, step.action)
        for index, istiod in enumerate(state.istiods):
            newest, _ = istiod.mountable[-1]
            if self._would_load(state, istiod, newest):
                state = self._load(state, index, newest)
        state = self._tick(state)
        for index in range(len(state.proxies)):
            state = self._renew(state, index)
        return state

    def _operators(self, state: State) -> Events:
        step = self.decide(state.cluster)
        if step is not None:
            yield step.message, self._write(state, step.action)
        if self.second_operator and step is not None and state.intent is None:
            yield f"the second operator decides: {step.message}", state._replace(intent=step.action)
        if state.intent is not None:
            yield f"the second operator writes {state.intent}", self._write(state, state.intent)

    def _people(self, state: State) -> Events:
        cluster = state.cluster
        if not cluster.is_asked:
            yield "another root is asked for", state._replace(cluster=cluster._replace(is_asked=True))
        if self.flips:
            yield "the flag of the istiods is flipped", self._flip(state)
        if self.renewals and any(stored and not stored.is_due for stored in cluster.targets):
            due = tuple(stored and stored._replace(is_due=True) for stored in cluster.targets)
            yield "new intermediates are asked for", state._replace(cluster=cluster._replace(targets=due))
        if state.mishaps < self.mishaps:
            for kind, hit, left in mishaps(cluster):
                if kind in self.kinds:
                    after = _without_conflict(state, hit)
                    yield f"{kind} {hit}", after._replace(cluster=left, mishaps=state.mishaps + 1)

    def decide(self, cluster: Cluster) -> Step | None:
        """Return what an operator would do that sees this."""
        if cluster not in self._decided:
            self._decided[cluster] = self.planner(self.sight.spec(cluster), self.sight.observed(cluster), NOW)
        return self._decided[cluster]

    def _write(self, state: State, action: Action) -> State:
        """Carry out an action."""
        istiods = state.istiods
        if isinstance(action, WriteCA):
            index, version = int(action.target[1:]), Version(action.signer, action.bundle)
            istiods = put(istiods, index, _mounted(istiods[index], version))
        after = _without_conflict(state, _object(action))
        return after._replace(cluster=self.sight.after(state.cluster, action), istiods=istiods)

    # --- The mesh -------------------------------------------------------------

    def _flip(self, state: State) -> State:
        """Restart every istiod; which of the mounted versions it loads first is seen in what comes next."""
        restarted = tuple(Istiod(each.mountable[0][0], each.mountable) for each in state.istiods)
        cluster = state.cluster._replace(ignores_roots=not state.cluster.ignores_roots, deployed=0)
        return state._replace(cluster=cluster, istiods=restarted)

    def _is_in_time(self, state: State, istiod: Istiod) -> bool:
        """Time waits for an istiod that has yet to load something; not for one that refuses what it meets."""
        remaining = [version for version, _ in self._a_tick_later(istiod.mountable)]
        return istiod.loaded in remaining or not all(self._would_load(state, istiod, version) for version in remaining)

    def _would_load(self, state: State, istiod: Istiod, version: Version) -> bool:
        """Tell whether a running istiod takes a version (pemBundleHasSubsetRelation in istio_ca.go)."""
        loads_roots = self.loads_roots and not state.cluster.ignores_roots
        before, after = set(istiod.loaded.bundle), set(version.bundle)
        return before == after or (loads_roots and (before <= after or before >= after))

    def _load(self, state: State, index: int, version: Version) -> State:
        return state._replace(istiods=put(state.istiods, index, state.istiods[index]._replace(loaded=version)))

    def _renew(self, state: State, index: int) -> State:
        target = state.proxies[index].target
        loaded = state.istiods[target].loaded
        return state._replace(proxies=put(state.proxies, index, Proxy(target, loaded.signer, 0, loaded.bundle)))

    def _push(self, state: State, index: int, proxy: Proxy) -> State:
        bundle = state.istiods[proxy.target].loaded.bundle
        return state._replace(proxies=put(state.proxies, index, proxy._replace(bundle=bundle)))

    def _tick(self, state: State) -> State:
        return state._replace(
            cluster=self.sight.older(state.cluster),
            istiods=tuple(Istiod(each.loaded, self._a_tick_later(each.mountable)) for each in state.istiods),
            proxies=tuple(self._aged(each) for each in state.proxies),
        )

    def _a_tick_later(self, mountable: tuple[tuple[Version, int], ...]) -> tuple[tuple[Version, int], ...]:
        *old, newest = mountable
        return (*((version, age + 1) for version, age in old if age < self.delay), newest)

    def _aged(self, proxy: Proxy | Dead) -> Proxy | Dead:
        if isinstance(proxy, Dead) or proxy.age == self.life:
            return Dead(proxy.target)
        return proxy._replace(age=proxy.age + 1)


def _mounted(istiod: Istiod, version: Version) -> Istiod:
    """Let a version be the newest; one of the same content is no other."""
    *older, (newest, _) = istiod.mountable
    if version == newest:
        return istiod
    return istiod._replace(mountable=(*older, (newest, 0), (version, 0)))


def _without_conflict(state: State, written: str | int) -> State:
    """Let the second operator's write fail if its object is written first."""
    is_conflict = state.intent is not None and _object(state.intent) == written
    return state._replace(intent=None) if is_conflict else state


def _object(action: Action) -> str | int:
    """Name the object that an action writes, with a precondition on its version."""
    match action:
        case WriteCA(target) | WriteBundle(target) | CleanTarget(target):
            return target
        case _:
            return action.revision


# --- One name for states that differ only in names ----------------------------


def canonical(state: State) -> State:
    """Return the same with the oldest root in sight called root 1, and the proxies in order."""
    in_order = tuple(sorted(state.proxies))
    if in_order != state.proxies:
        state = state._replace(proxies=in_order)
    if state.cluster.roots and state.cluster.roots[0].revision == 1:
        return state
    oldest = min(_revisions(state))
    return state if oldest == 1 else _renamed(state, 1 - oldest)


def _revisions(state: State) -> set[int]:
    versions = [stored.version for stored in state.cluster.targets if stored]
    for istiod in state.istiods:
        versions += [istiod.loaded, *(version for version, _ in istiod.mountable)]
    versions += [Version(proxy.root, proxy.bundle) for proxy in state.proxies if isinstance(proxy, Proxy)]
    found = {root.revision for root in state.cluster.roots}
    return found.union(*((version.signer, *version.bundle) for version in versions))


def _renamed(state: State, by: int) -> State:
    def bundle(revisions: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(revision + by for revision in revisions)

    def version(old: Version) -> Version:
        return Version(old.signer + by, bundle(old.bundle))

    def istiod(old: Istiod) -> Istiod:
        return Istiod(version(old.loaded), tuple((version(each), age) for each, age in old.mountable))

    def proxy(old: Proxy | Dead) -> Proxy | Dead:
        return old if isinstance(old, Dead) else old._replace(root=old.root + by, bundle=bundle(old.bundle))

    cluster = state.cluster
    return State(
        cluster._replace(
            roots=tuple(root._replace(revision=root.revision + by) for root in cluster.roots),
            targets=tuple(stored and stored._replace(version=version(stored.version)) for stored in cluster.targets),
        ),
        tuple(istiod(each) for each in state.istiods),
        tuple(proxy(each) for each in state.proxies),
        state.intent and _renamed_action(state.intent, by),
        state.mishaps,
    )


def _renamed_action(action: Action, by: int) -> Action:
    match action:
        case WriteCA():
            bundle = tuple(revision + by for revision in action.bundle)
            return replace(action, signer=action.signer + by, bundle=bundle)
        case WriteBundle() | OwnRoot() | CleanRoot() | CleanTarget():
            raise AssertionError(f"nothing in this world asks for {action}")
        case _:
            return replace(action, revision=action.revision + by)
