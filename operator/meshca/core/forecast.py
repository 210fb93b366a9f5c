"""The years to come: the very same `plan()`, run against what its steps would make of a cluster (`meshca plan`)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from meshca.core.model import Absent, Observed
from meshca.core.outcomes import Obstacle, Step
from meshca.core.questions import Answer, AskReload, Reader
from meshca.core.rotation import plan
from meshca.core.simulation import carry_out, imagine
from meshca.core.spec import MeshCASpec, TargetSpec
from meshca.pki.certs import Certificate
from meshca.words.names import ISTIOD


@dataclass(frozen=True, slots=True)
class Forecast:
    """One step that will be taken, when nothing interferes."""

    at: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class Held:
    """What will not be done before a person ends what keeps it."""

    at: datetime
    obstacle: Obstacle


def forecast(spec: MeshCASpec, start: datetime, end: datetime) -> Iterator[Forecast]:
    """Yield every step from an empty cluster at `start` until `end`.

    Every istiod is taken to load a changed set of roots, by a restart where the
    spec asks for that.
    """
    yield from (each for each in foresee(spec, empty(spec, start), start, end) if isinstance(each, Forecast))


def foresee(spec: MeshCASpec, observed: Observed, start: datetime, end: datetime) -> Iterator[Forecast | Held]:
    """Yield every step from what is observed at `start` until `end`, and what keeps others, once.

    Given roots are taken to live as long as `spec.root.duration`, and to be replaced
    in time; whatever has been answered once to stay so; and restarts that are under way
    to end.
    """
    now, told = start, set[Obstacle]()
    while now <= end:
        observed = _tell(_give_root(spec, observed, now))
        decision = plan(spec, observed, now)
        if decision.step is not None:
            yield Forecast(now, decision.step)
            observed = carry_out(spec, observed, decision.step, now)
            continue
        yield from (Held(now, each) for each in dict.fromkeys(decision.obstacles) if each not in told)
        told |= {*decision.obstacles}
        later = [wait.until for wait in decision.waits if wait.until is not None and wait.until > now]
        if not later:
            return
        now, observed = min(later), _rolled_out(observed)


def empty(spec: MeshCASpec, now: datetime) -> Observed:
    """Return what is observed where nothing exists yet and every istiod loads changed roots."""
    return Observed(
        targets={target.name: Absent() for target in spec.targets},
        answers={AskReload(target.name): _loads(target, now) for target in spec.targets},
        given=imagine(spec, "given 1", now, None) if spec.root.source.ref else None,
    )


def _loads(target: TargetSpec, now: datetime) -> Answer:
    """Say that a target's istiod loads a changed set of roots, if need be by a restart."""
    istiod = Reader(name=ISTIOD, uid="", starts=(now,))
    return Answer(None, "", readers=(istiod,) if target.restarts else (), told=frozenset())


def _tell(observed: Observed) -> Observed:
    """Let workloads that are told what to trust be told of every root."""
    ours = frozenset(root.certificate.fingerprint for root in observed.roots)
    for ask, answer in observed.answers.items():
        if answer.told is not None:
            observed = observed.with_answer(ask, replace(answer, told=answer.told | ours))
    return observed


def _rolled_out(observed: Observed) -> Observed:
    """Let whatever is being restarted be done with it by the next look, unless it says itself that it is not."""
    for ask, answer in observed.answers.items():
        readers = tuple(each if each.is_stuck else replace(each, is_moving=False) for each in answer.readers)
        observed = observed.with_answer(ask, replace(answer, readers=readers))
    return observed


def _give_root(spec: MeshCASpec, observed: Observed, now: datetime) -> Observed:
    """Put the next given root into its Secret once the last one is due."""
    given = observed.given
    if not isinstance(given, Certificate) or now < given.not_after - spec.root.renew_before:
        return observed
    before = given.subject.removeprefix("CN=given ")
    number = int(before) + 1 if before.isdecimal() else 1
    return replace(observed, given=imagine(spec, f"given {number}", now, None))
