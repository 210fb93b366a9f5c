"""No order of events makes a handshake fail: every state of a small mesh, visited one by one.

world.py says what the mesh is and what may happen in it. Here the real `plan()`
is led through all of it, and then others that are wrong in one point each, to
show that the world is one in which such a thing is found out.
"""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from meshca.core.actions import CreateRoot, DestroyRoot, WriteCA
from meshca.core.model import Observed, Published
from meshca.core.outcomes import Step
from meshca.core.questions import Answer
from meshca.core.rotation import plan
from meshca.core.spec import MeshCASpec
from meshca.words.names import RootState
from meshca.words.reasons import Done, Found
from tests.core.world import Planner, State, World, canonical


def ours(spec: MeshCASpec, observed: Observed, now: datetime) -> Step | None:
    return plan(spec, observed, now).step


def believing(spec: MeshCASpec, observed: Observed, now: datetime) -> Step | None:
    """Decide as if every istiod loaded changed roots while it runs."""
    answers = {ask: Answer(None, "") for ask in observed.answers}
    return plan(spec, replace(observed, answers=answers), now).step


# --- Visiting every state -----------------------------------------------------


@dataclass(frozen=True)
class Visit:
    """The states that were found, with the event that led to each from the one before."""

    origins: dict[State, tuple[State, str] | None]
    outage: str | None
    last: State

    def story(self, state: State) -> list[str]:
        """Tell the shortest way to a state."""
        events: list[str] = []
        while (origin := self.origins[state]) is not None:
            state, event = origin
            events.append(event)
        return events[::-1]


def visit(world: World) -> Visit:
    """Visit every state that can be reached, nearest first, until one is an outage."""
    start = canonical(world.start())
    origins: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if (outage := world.outage(state)) is not None:
            return Visit(origins, outage, state)
        for event, after in world.events(state):
            after = canonical(after)  # noqa: PLW2901  # the same state by its right name
            if after not in origins:
                origins[after] = (state, event)
                waiting.append(after)
    return Visit(origins, None, start)


def stuck(world: World, visited: Visit) -> State | None:
    """Return a state from which the mesh never comes to peace, although everybody does their part and asks no more."""
    ends_well: set[State] = set()
    for state in visited.origins:
        way: list[State] = []
        now = state
        while now not in ends_well and not world.is_at_peace(now):
            if now in way:
                return state
            way.append(now)
            now = canonical(world.a_busy_second(now))
        ends_well.update(way)
    return None


# --- The real plan() ----------------------------------------------------------

TWO = World(ours, targets=2, homes=(0, 1))

WORLDS = {
    "D=1 T=1": World(ours, delay=1, life=1),
    "D=1 T=3": World(ours, delay=1, life=3),
    "D=2 T=2": World(ours, delay=2, life=2),
    "D=3 T=2": World(ours, delay=3, life=2),
    "istiod pushes bundles before proxies renew": World(ours, delay=2, life=2, pushes=True),
    "intermediates are renewed at any moment": World(ours, delay=2, life=2, renewals=True),
    "the flag of the istiods is turned off and on": World(ours, flips=True),
    "a second operator acts on an old view": World(ours, delay=2, life=2, second_operator=True),
    "two targets": replace(TWO, delay=2),
    "two targets, both proxies in one": World(ours, targets=2, homes=(0, 0)),
    "two targets, two operators": replace(TWO, second_operator=True),
    "three targets": World(ours, life=1, targets=3, homes=(0, 1)),
    "one mishap": World(ours, delay=2, life=2, mishaps=1),
    "one mishap, two operators": World(ours, mishaps=1, second_operator=True),
    "one mishap, two targets": replace(TWO, life=1, mishaps=1),
    "Secrets are deleted again and again": World(ours, life=1, mishaps=3, kinds=("delete",)),
    "somebody else's CA is taken over": World(ours, delay=2, life=2, found=(0,)),
    "somebody else's CA of two targets is taken over": World(ours, life=1, targets=2, homes=(0, 1), found=(0, 1)),
    "somebody else's CA is taken over beside a mesh of ours": World(ours, life=1, targets=2, homes=(1, 1), found=(1,)),
    "two targets of one CA are taken over beside ours": World(ours, life=1, targets=3, homes=(1, 2), found=(1, 2)),
    "it is taken over, or not, or is it": World(ours, found=(0,), mishaps=3, kinds=("waver",)),
    "it is put back, deleted and not wanted": World(
        ours, life=1, found=(0,), mishaps=2, kinds=("revert", "waver", "delete")
    ),
    "stock istiods are restarted": World(ours, loads_roots=False, restarts=True),
    "stock istiods of two targets are restarted": World(
        ours, life=1, targets=2, homes=(0, 1), loads_roots=False, restarts=True
    ),
    "stock istiods are restarted, one mishap": World(ours, life=1, loads_roots=False, restarts=True, mishaps=1),
    "stock istiods are restarted to take over somebody else's CA": World(
        ours, life=1, loads_roots=False, restarts=True, found=(0,)
    ),
    "istiod's own CA is taken over, with the flag on": World(ours, restarts=True, self_signed=True, found=(0,)),
    "istiod's own CA is taken over, with the flag off": World(
        ours, loads_roots=False, restarts=True, self_signed=True, found=(0,)
    ),
    "istiod's own CA is taken over, or not, or is it": World(
        ours, life=1, restarts=True, self_signed=True, found=(0,), mishaps=2, kinds=("waver",)
    ),
    "roots lose labels and Secrets": World(ours, life=1, mishaps=2, kinds=("unlabel", "lose")),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_no_order_of_events_makes_a_handshake_fail_and_every_rotation_ends(world: World) -> None:
    visited = visit(world)

    assert visited.outage is None, "\n".join([*visited.story(visited.last), visited.outage])
    state = stuck(world, visited)
    assert state is None, "\n".join([*visited.story(state), "and then it never ends"])


def test_the_states_are_those_of_whole_rotations() -> None:
    world = World(ours)
    states = visit(world).origins

    steps = [step for state in states if (step := world.decide(state.cluster))]
    assert {step.reason for step in steps} == {
        Done.ROTATION_STARTED,
        Done.TRUST_PUBLISHED,
        Done.ROOT_ACTIVATED,
        Done.SIGNER_SWITCHED,
        Done.ROOT_RETIRED,
        Done.TRUST_REMOVED,
        Done.ROTATION_COMPLETED,
    }
    held = {istiod.loaded.bundle for state in states for istiod in state.istiods}
    assert held == {(1,), (2, 1), (2,), (3, 2)}, "old roots are still in sight when the next rotation is under way"


# --- Others, wrong in one point -----------------------------------------------

WRONG = {
    "the operator thinks that istiod loads a second sooner": World(ours, delay=2, life=2, told=(1, 2)),
    "the operator thinks that certificates live a second less": World(ours, delay=1, life=3, told=(1, 2)),
    "the sum is right, but istiod is slower: a rotation begins before the last one has arrived": World(
        ours, delay=2, life=2, told=(1, 3)
    ),
    "the same of two targets": replace(TWO, told=(1, 1)),
    "istiod ignores changed roots, and restarts": World(ours, loads_roots=False),
    "istiod is restarted, and nobody asks which process has loaded what": World(
        believing, loads_roots=False, restarts=True
    ),
    "istiod is restarted a second before what was written has arrived": World(
        ours, delay=2, told=(1, 2), loads_roots=False, restarts=True
    ),
}


@pytest.mark.parametrize("world", WRONG.values(), ids=WRONG.keys())
def test_an_operator_that_is_told_wrong_makes_an_outage(world: World) -> None:
    assert visit(world).outage is not None


def test_who_is_told_more_than_the_truth_only_waits_longer() -> None:
    assert visit(World(ours, delay=1, life=2, told=(2, 3))).outage is None


def test_a_mishap_that_takes_both_traces_of_who_signs_is_beyond_help() -> None:
    """The only cacerts is gone, and so is the label or the root: nothing tells any more what lives out there."""
    visited = visit(World(ours, mishaps=2))

    events = visited.story(visited.last)
    assert visited.outage is not None
    assert "delete t0" in events
    assert any(event.startswith(("unlabel", "lose")) for event in events)


def stepwise(*, before_switch: int, before_drop: int, before_next: int) -> Planner:
    """Return the textbook's rotation for one target, with these waits in seconds."""

    def planner(spec: MeshCASpec, observed: Observed, now: datetime) -> Step | None:
        target, newest = observed.targets["t0"], observed.roots[-1]
        assert isinstance(target, Published)
        old, new = target.bundle[-1], newest.revision
        if new not in target.bundle:
            return _step(WriteCA("t0", old, (new, old), issue=False))
        if not newest.signed(target.intermediate):
            return _after(target.bundle_since, before_switch, now, WriteCA("t0", new, (new, old), issue=True))
        if new != old:
            return _after(target.signer_since, before_drop, now, WriteCA("t0", new, (new,), issue=False))
        if len(observed.roots) > 1:
            return _step(DestroyRoot(observed.roots[0].revision))
        if spec.root.issued_after is not None:
            return _after(target.written_at, before_next, now, CreateRoot(new + 1, RootState.SOLE))
        return None

    return planner


def at_once(*, keeps_the_old: bool) -> Planner:
    """Return a rotation that switches in the very write that publishes the new root."""

    def planner(spec: MeshCASpec, observed: Observed, now: datetime) -> Step | None:
        target, newest = observed.targets["t0"], observed.roots[-1]
        assert isinstance(target, Published)
        old, new = target.bundle[-1], newest.revision
        if new not in target.bundle:
            return _step(WriteCA("t0", new, (new, old) if keeps_the_old else (new,), issue=True))
        if new != old:
            return _after(target.signer_since, 60, now, WriteCA("t0", new, (new,), issue=False))
        if len(observed.roots) > 1:
            return _step(DestroyRoot(observed.roots[0].revision))
        return _step(CreateRoot(new + 1, RootState.SOLE)) if spec.root.issued_after is not None else None

    return planner


def _after(since: datetime, seconds: int, now: datetime, action: WriteCA | CreateRoot) -> Step | None:
    return _step(action) if now >= since + timedelta(seconds=seconds) else None


def _step(action: WriteCA | CreateRoot | DestroyRoot) -> Step:
    return Step(action, Found.PENDING, str(action))


@pytest.mark.parametrize("keeps_the_old", [False, True], ids=["{A} to {B}", "grow and switch in one write"])
def test_a_rotation_in_one_write_is_an_outage(keeps_the_old: bool) -> None:
    assert visit(World(at_once(keeps_the_old=keeps_the_old))).outage is not None


@pytest.mark.parametrize(("delay", "life"), [(1, 2), (1, 3), (2, 2), (2, 3)])
def test_no_wait_can_be_shorter(delay: int, life: int) -> None:
    overlap, loaded = delay + life + 1, delay + 1

    def outage(before_switch: int, before_drop: int, before_next: int) -> str | None:
        waits = {"before_switch": before_switch, "before_drop": before_drop, "before_next": before_next}
        return visit(World(stepwise(**waits), delay=delay, life=life)).outage

    assert outage(overlap, overlap, loaded) is None
    assert outage(overlap - 1, overlap, loaded) is not None
    assert outage(overlap, overlap - 1, loaded) is not None
    assert outage(overlap, overlap, loaded - 1) is not None
    assert outage(0, 0, 0) is not None
    assert outage(delay, delay, delay) is not None
