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

from meshca.core.actions import (
    Action,
    CleanRoot,
    CleanTarget,
    DropOriginal,
    GiveBack,
    KeepOriginal,
    OwnRoot,
    Restart,
    WriteBundle,
    WriteCA,
)
from meshca.core.model import Observed
from meshca.core.outcomes import Step
from meshca.core.spec import MeshCASpec
from meshca.words.names import RootState
from tests.core.cluster import NOW, THEIRS, Cluster, Process, RootSecret, Sight, Stored, Version, mishaps, put

Planner = Callable[[MeshCASpec, Observed, datetime], Step | None]
"""Decides the next write, as `plan()` does."""


THEIR_CA = Version(THEIRS, (THEIRS,))
"""What somebody else made."""


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
        kinds: what they may be: to "delete" a cacerts, to "unlabel" a root, to "lose" a root's Secret, to "revert" a
            cacerts to what somebody else had made, to "waver" whether that is to be taken over.
        found: the targets that live by somebody else's CA, which is to be taken over.
        restarts: whether the operator restarts istiods so that they load changed roots.
        self_signed: whether somebody else's CA is istiod's own: it looks for nothing else before it is started anew.
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
    kinds: tuple[str, ...] = ("delete", "unlabel", "lose", "revert")
    found: tuple[int, ...] = ()
    restarts: bool = False
    self_signed: bool = False
    _decided: dict[Cluster, Step | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    @cached_property
    def sight(self) -> Sight:
        """How the cluster looks to the operator."""
        delay, life = self.told or (self.delay, self.life)
        long = max(self.delay + self.life, delay + life) + 2
        # What was written long ago must still look older by D than any process.
        long += delay + 1 if self.restarts else 0
        return Sight(delay, life, self.targets, long, self.renewals, self.restarts, self.loads_roots)

    def start(self) -> State:
        """Return a mesh that has been at peace for long."""
        peace, old = {n: THEIRS if n in self.found else 1 for n in range(self.targets)}, self.sight.long
        versions = {n: Version(root, (root,)) for n, root in peace.items()}
        stored = tuple(Stored(it, old, old, old, is_theirs=n in self.found) for n, it in versions.items())
        roots = (RootSecret(1, RootState.SOLE),) if 1 in peace.values() else ()
        proxies = tuple(Proxy(home, peace[home], 0, versions[home].bundle) for home in self.homes)
        processes = (Process(self.sight.young, it.bundle, self._is_own(it)) for it in versions.values())
        istiods = tuple(processes) if self.restarts else ()
        cluster = Cluster(roots, stored, adopts=bool(self.found), istiods=istiods, self_signed=self.self_signed)
        return State(cluster, tuple(Istiod(it, ((it, 0),)) for it in versions.values()), proxies)

    def _is_own(self, version: Version) -> bool:
        """Tell whether an istiod that starts on this runs on a CA of its own making."""
        return self.self_signed and version == THEIR_CA

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
        if not state.cluster.adopts and all(stored and stored.is_theirs for stored in state.cluster.targets):
            return self._is_given_back(state)
        if not state.cluster.roots:
            return False
        newest = state.cluster.roots[-1]
        peace = Version(newest.revision, (newest.revision,))
        return (
            {root for root in state.cluster.roots if root.revision != THEIRS} == {newest}
            and newest.has_key
            and not state.cluster.is_asked
            and all(stored is not None and stored.version == peace for stored in state.cluster.targets)
            and all(istiod == Istiod(peace, ((peace, 0),)) for istiod in state.istiods)
            and all(proxy[1:] == (newest.revision, 0, peace.bundle) for proxy in state.proxies)
        )

    def _is_given_back(self, state: State) -> bool:
        return (
            not state.cluster.kept
            and all(istiod == Istiod(THEIR_CA, ((THEIR_CA, 0),)) for istiod in state.istiods)
            and all(proxy[1:] == (THEIRS, 0, THEIR_CA.bundle) for proxy in state.proxies)
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
                elif self.restarts:
                    yield f"istiod {index} starts anew", self._restart(state, index, version)
        for index, proxy in enumerate(state.proxies):
            yield f"proxy {index} renews", self._renew(state, index)
            if self.pushes and isinstance(proxy, Proxy):
                yield f"proxy {index} gets a bundle", self._push(state, index, proxy)
        if all(self._is_in_time(state, index) for index in range(len(state.istiods))):
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
            if self._would_load(state, index, newest):
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
                    if kind == "revert":
                        after = self._mount(after, int(str(hit)[1:]), THEIR_CA)
                    yield f"{kind} {hit}", after._replace(cluster=left, mishaps=state.mishaps + 1)

    def decide(self, cluster: Cluster) -> Step | None:
        """Return what an operator would do that sees this."""
        if cluster not in self._decided:
            self._decided[cluster] = self.planner(self.sight.spec(cluster), self.sight.observed(cluster), NOW)
        return self._decided[cluster]

    def _write(self, state: State, action: Action) -> State:
        """Carry out an action."""
        after = _without_conflict(state, _object(action))
        if isinstance(action, Restart):
            index = int(action.target[1:])
            return self._restart(after, index, after.istiods[index].mountable[0][0])
        if isinstance(action, WriteCA | GiveBack):
            version = Version(action.signer, action.bundle) if isinstance(action, WriteCA) else THEIR_CA
            after = self._mount(after, int(action.target[1:]), version)
        return after._replace(cluster=self.sight.after(state.cluster, action))

    def _mount(self, state: State, index: int, version: Version) -> State:
        return state._replace(istiods=put(state.istiods, index, _mounted(state.istiods[index], version)))

    # --- The mesh -------------------------------------------------------------

    def _flip(self, state: State) -> State:
        """Restart every istiod; which of the mounted versions it loads first is seen in what comes next."""
        restarted = tuple(Istiod(each.mountable[0][0], each.mountable) for each in state.istiods)
        cluster = state.cluster._replace(ignores_roots=not state.cluster.ignores_roots, deployed=0)
        return state._replace(cluster=cluster, istiods=restarted)

    def _is_in_time(self, state: State, index: int) -> bool:
        """Time waits for an istiod that has yet to load something; not for one that refuses what it meets."""
        istiod = state.istiods[index]
        remaining = [version for version, _ in self._a_tick_later(istiod.mountable)]
        return istiod.loaded in remaining or not all(self._would_load(state, index, version) for version in remaining)

    def _would_load(self, state: State, index: int, version: Version) -> bool:
        """Tell whether a running istiod takes a version (pemBundleHasSubsetRelation in istio_ca.go)."""
        istiod = state.istiods[index]
        if self.restarts and state.cluster.istiods[index].is_own:
            return False
        loads_roots = self.loads_roots and not state.cluster.ignores_roots
        before, after = set(istiod.loaded.bundle), set(version.bundle)
        return before == after or (loads_roots and (before <= after or before >= after))

    def _load(self, state: State, index: int, version: Version) -> State:
        """Let an istiod load a version, if need be by starting anew."""
        is_running = self._would_load(state, index, version)
        loaded = state._replace(istiods=put(state.istiods, index, state.istiods[index]._replace(loaded=version)))
        return self._show(loaded, index, None if is_running else 0)

    def _restart(self, state: State, index: int, version: Version) -> State:
        loaded = state._replace(istiods=put(state.istiods, index, state.istiods[index]._replace(loaded=version)))
        return self._show(loaded, index, 0)

    def _show(self, state: State, index: int, age: int | None) -> State:
        """Let it be seen what an istiod has loaded, and that it is a new process."""
        if not self.restarts:
            return state
        process, loaded = state.cluster.istiods[index], state.istiods[index].loaded
        fresh = Process(age or 0, loaded.bundle, self._is_own(loaded))
        now = process._replace(told=loaded.bundle) if age is None else fresh
        return state._replace(cluster=state.cluster._replace(istiods=put(state.cluster.istiods, index, now)))

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
        case Restart(target):
            return f"istiod {target}"
        case WriteCA(target) | WriteBundle(target) | CleanTarget(target) | GiveBack(target):
            return target
        case KeepOriginal(target) | DropOriginal(target):
            return f"original {target}"
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
    oldest = min((revision for revision in _revisions(state) if revision != THEIRS), default=1)
    return state if oldest == 1 else _renamed(state, 1 - oldest)


def _revisions(state: State) -> set[int]:
    versions = [stored.version for stored in state.cluster.targets if stored]
    for istiod in state.istiods:
        versions += [istiod.loaded, *(version for version, _ in istiod.mountable)]
    versions += [Version(proxy.root, proxy.bundle) for proxy in state.proxies if isinstance(proxy, Proxy)]
    found = {root.revision for root in state.cluster.roots}
    return found.union(*((version.signer, *version.bundle) for version in versions))


def _renamed(state: State, by: int) -> State:
    def root(revision: int) -> int:
        return revision if revision == THEIRS else revision + by

    def bundle(revisions: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(map(root, revisions))

    def version(old: Version) -> Version:
        return Version(root(old.signer), bundle(old.bundle))

    def istiod(old: Istiod) -> Istiod:
        return Istiod(version(old.loaded), tuple((version(each), age) for each, age in old.mountable))

    def proxy(old: Proxy | Dead) -> Proxy | Dead:
        return old if isinstance(old, Dead) else old._replace(root=root(old.root), bundle=bundle(old.bundle))

    cluster = state.cluster
    return State(
        cluster._replace(
            istiods=tuple(each._replace(told=bundle(each.told)) for each in cluster.istiods),
            roots=tuple(each._replace(revision=root(each.revision)) for each in cluster.roots),
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
            *bundle, signer = (each if each == THEIRS else each + by for each in (*action.bundle, action.signer))
            return replace(action, signer=signer, bundle=tuple(bundle))
        case KeepOriginal() | DropOriginal() | GiveBack() | Restart():
            return action
        case WriteBundle() | OwnRoot() | CleanRoot() | CleanTarget():
            raise AssertionError(f"nothing in this world asks for {action}")
        case _:
            return replace(action, revision=action.revision + by)
