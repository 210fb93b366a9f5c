"""Long random lives of a MeshCA: years, edits, losses and repairs, judged by who really held what, and when.

The exhaustive model (test_model.py) has short waits and certificates without
end. Here durations are drawn, certificates end, stamps are cut to whole seconds
as the API server cuts them, and all that people do to a cluster happens to it.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Generation
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from meshca.core.actions import CreateRoot, DestroyRoot, DropRequest, MarkRoot, RequestCA, WriteCA
from meshca.core.model import Absent, Blocked, Damaged, Holding, Observed, Published, Request, Root, TargetState
from meshca.core.outcomes import Plan, Step
from meshca.core.parse import parse_spec
from meshca.core.questions import Answer, AskReload, Pending, Signature
from meshca.core.replacement import why_rotate
from meshca.core.rotation import plan
from meshca.core.simulation import carry_out
from meshca.core.situation import phase, situate
from meshca.core.spec import MeshCASpec
from meshca.core.status import next_wake
from meshca.flow.kinds import KINDS
from meshca.pki.certs import Certificate
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import Phase, RootState
from meshca.words.reasons import Found
from meshca.words.ref import Ref
from tests.core.chronicle import Chronicle, Content

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NOT_OURS = Blocked(Found.FOREIGN_SECRET, "not ours")
LOADS, IGNORES = Answer(None, ""), Answer(Found.MULTI_ROOT_DISABLED, "")
KEYS = (KeySpec(Algorithm.ECDSA, 256), KeySpec(Algorithm.ECDSA, 384))
UNSIGNED = Pending("nobody has signed")
MOST_STEPS = 40
"""In one pass, of at most three targets: more than any change needs."""


@st.composite
def specs(draw: st.DrawFn) -> MeshCASpec:
    """Draw a spec of one to three targets, whose lifetimes leave room for what must happen in them."""
    delay = draw(st.sampled_from([1, 2, 60, 300]))
    life = draw(st.sampled_from([1, 3, 600, 86400]))
    whole = 2 * life + 4 * delay + 10
    intermediate = draw(st.integers(2 * whole, 100 * whole))
    root = draw(st.integers(max(4 * whole, intermediate), 1000 * whole))
    return parse_spec(
        "mesh",
        {
            "root": {"duration": f"{root}s", "renewBefore": f"{draw(st.integers(1, root // 2))}s"},
            "intermediate": {
                "duration": f"{intermediate}s",
                "renewBefore": f"{draw(st.integers(1, intermediate // 2))}s",
            },
            "workload": {"maxCertificateDuration": f"{life}s"},
            "rotation": {"propagationDelay": f"{delay}s"},
            "targets": [{"name": f"t{n}", "istio": {"namespace": f"n{n}"}} for n in range(draw(st.integers(1, 3)))],
        },
        KINDS,
    )


@dataclass
class Secrets:
    """What lies in the cluster, and how it is seen: as flow/observe.py and cluster/objects.py do, without the PEM."""

    roots: dict[int, Root] = field(default_factory=dict)
    targets: dict[str, tuple[Published | Damaged, tuple[Certificate, ...]]] = field(default_factory=dict)
    """Each with the certificates of its bundle; its revisions are as they were written down beside them."""
    requests: dict[Signature, Request] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    ignores_roots: bool = False

    def observe(self, spec: MeshCASpec) -> Observed:
        roots = dict(self.roots)
        visible = [self.targets[t.name] for t in spec.targets if t.name in self.targets and t.name not in self.blocked]
        for target, bundle in visible:
            for revision, certificate in zip(target.bundle, bundle, strict=True):
                roots.setdefault(revision, Root(revision=revision, certificate=certificate, has_key=False))
        return Observed(
            roots=tuple(sorted(roots.values(), key=lambda root: root.revision)),
            targets={target.name: self._target(target.name, roots) for target in spec.targets},
            answers={AskReload(target.name): IGNORES if self.ignores_roots else LOADS for target in spec.targets},
            requests=self.requests,
        )

    def _target(self, name: str, roots: dict[int, Root]) -> TargetState:
        if name in self.blocked:
            return NOT_OURS
        if name not in self.targets:
            return Absent()
        target, bundle = self.targets[name]
        known = [
            revision
            for revision, certificate in zip(target.bundle, bundle, strict=True)
            if roots[revision].certificate == certificate
        ]
        if isinstance(target, Published) and any(root.signed(target.intermediate) for root in roots.values()):
            return replace(target, bundle=tuple(known), intact=target.intact and len(known) == len(bundle))
        return damaged(target, tuple(known))


def damaged(target: Holding, bundle: tuple[int, ...]) -> Damaged:
    return Damaged(
        bundle=bundle,
        intact=False,
        written_at=target.written_at,
        bundle_since=target.bundle_since,
        owned=target.owned,
        has_crl=target.has_crl,
    )


class Life(RuleBasedStateMachine):
    """One MeshCA. True time only goes forward; the API server's clock may fall behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.true_time = START
        self.behind = timedelta(0)
        self.secrets = Secrets()
        self.certificates: dict[str, Certificate] = {}
        """Every root that was ever made, by its key."""
        self.is_forgetful = False
        """Traces of who signs were lost that nobody could bring back: handshakes may fail, and are not judged."""

    @initialize(spec=specs())
    def begin(self, spec: MeshCASpec) -> None:
        self.spec = spec
        self.chronicle = Chronicle(spec.propagation_delay, spec.leaf_duration)

    # --- Time -----------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.true_time - self.behind

    @rule(parts=st.floats(0, 1.5))
    def a_while_passes(self, parts: float) -> None:
        self.true_time += parts * (self.spec.leaf_duration + self.spec.propagation_delay)

    @rule(parts=st.floats(0, 1.2))
    def a_long_time_passes(self, parts: float) -> None:
        self.true_time += parts * self.spec.root.duration

    @rule(late=st.sampled_from([0, 0.001, 0.5, 1]))
    def the_next_date_comes(self, late: float) -> None:
        wake = next_wake(self.settle(), self.now)
        if wake is not None:
            self.true_time += wake - self.now + timedelta(seconds=late)

    @rule(parts=st.floats(0, 3))
    def the_clock_is_set_back(self, parts: float) -> None:
        """No root moves because of it. (An expired one may be valid again, and sign what it could not.)"""
        self.settle()
        self.behind += parts * (self.spec.leaf_duration + self.spec.propagation_delay)
        step = self.look().step
        assert step is None or isinstance(step.action, WriteCA | RequestCA)

    # --- The operator ---------------------------------------------------------

    def observe(self) -> Observed:
        """See what there is; that the clock is behind is told by that of the operator's pod."""
        return replace(self.secrets.observe(self.spec), is_clock_sure=not self.behind)

    def look(self) -> Plan:
        """Plan twice the same. What is waited for is always yet to come, so nobody wakes for nothing."""
        observed = self.observe()
        decision = plan(self.spec, observed, self.now)
        assert decision == plan(self.spec, observed, self.now)
        assert all(wait.until is None or wait.until > self.now for wait in decision.waits if decision.step is None)
        return decision

    @rule()
    def one_step_is_taken(self) -> None:
        self.take(self.look().step)

    @rule()
    def all_steps_are_taken(self) -> None:
        self.settle()

    def settle(self) -> Plan:
        """Take every step that is due now; there is an end to them."""
        for _ in range(MOST_STEPS):
            decision = self.look()
            if decision.step is None:
                self.check_served()
                return decision
            self.take(decision.step)
        raise AssertionError(f"after {MOST_STEPS} steps still: {self.look().step}")

    def take(self, step: Step | None) -> None:
        if step is None:
            return
        before = self.observe()
        after = carry_out(self.spec, before, step, self.now)
        match step.action:
            case CreateRoot(revision):
                self.check_new_root(before, step.action)
                self.secrets.roots[revision] = self.with_a_key_of_its_own(after, revision)
            case MarkRoot(revision):
                self.check_istiods_load()
                self.secrets.roots[revision] = next(root for root in after.roots if root.revision == revision)
            case DestroyRoot(revision):
                self.check_end_of_root(before, revision)
                del self.secrets.roots[revision]
            case RequestCA() | DropRequest():
                pass
            case WriteCA(target):
                self.check_signature(before, step.action)
                self.write(before, after, step.action)
                self.check_cacerts(before, target)
            case _:
                raise AssertionError(f"nobody asked for {step}")
        self.secrets.requests = dict(after.requests)
        self.check_handshakes()

    def with_a_key_of_its_own(self, after: Observed, revision: int) -> Root:
        """Tell roots apart that get one revision: their keys are in their names (certs.root_common_name)."""
        root = next(root for root in after.roots if root.revision == revision)
        name = f"root {revision} of key {len(self.certificates)}"
        certificate = replace(
            root.certificate,
            subject=f"CN={name}",
            issuer=f"CN={name}",
            authority_id=name,
            issuer_id=name,
            fingerprint=name,
        )
        self.certificates[name] = certificate
        return replace(root, certificate=certificate)

    def write(self, before: Observed, after: Observed, action: WriteCA) -> None:
        written = after.targets[action.target]
        assert isinstance(written, Published)
        by_revision = {root.revision: root.certificate for root in before.roots}
        self.secrets.targets[action.target] = (written, tuple(by_revision[each] for each in written.bundle))
        self.note(action.target)

    def note(self, target: str) -> None:
        """Write down what the operator made of a target."""
        written, bundle = self.secrets.targets[target]
        signer = self.certificates[str(written.intermediate.issuer_id)]
        self.chronicle.write(target, Content(written.intermediate, signer, bundle), self.true_time)

    # --- What must be true of every step --------------------------------------

    def check_new_root(self, before: Observed, action: CreateRoot) -> None:
        """No key is burnt, no revision comes back, and istiod will take what follows."""
        assert all(action.revision > root.revision for root in before.roots)
        usable = [root for root in before.roots if root.has_key and self.now < root.certificate.not_after]
        assert len(usable) <= 1
        if action.state is RootState.PREPARED:
            self.check_istiods_load()
            assert not self.secrets.blocked & {target.name for target in self.spec.targets}

    def check_signature(self, before: Observed, action: WriteCA) -> None:
        """Nobody is asked for what can be signed here."""
        assert not before.requests, action

    def check_istiods_load(self) -> None:
        """No rotation goes on where an istiod would ignore it, unless nothing there is alive any more."""
        alive = {entry.target for entry in self.chronicle.living(self.true_time)}
        assert not self.secrets.ignores_roots or not alive & self.secrets.targets.keys()

    def check_end_of_root(self, before: Observed, revision: int) -> None:
        """No key is destroyed that something may need."""
        doomed = self.secrets.roots[revision].certificate
        assert revision != before.roots[-1].revision
        if self.is_forgetful:
            return
        for entry in self.chronicle.living(self.true_time):
            assert entry.content.signer != doomed, entry
            assert entry.end is not None or doomed not in entry.content.bundle, entry

    def check_cacerts(self, before: Observed, name: str) -> None:
        old, (new, bundle) = before.targets[name], self.secrets.targets[name]
        assert not isinstance(old, Blocked), "what is not ours was overwritten"
        signer = next(root for root in before.roots if root.signed(new.intermediate))
        assert signer.certificate in bundle
        assert new.bundle == tuple(sorted(set(new.bundle), reverse=True))
        assert new.intermediate.not_after <= signer.certificate.not_after
        if isinstance(old, Holding):
            assert set(old.bundle) <= set(new.bundle) or set(old.bundle) >= set(new.bundle)
        if isinstance(old, Published):
            assert old.bundle == new.bundle or old.intermediate == new.intermediate, "bundle and signer in one write"
        # Where nothing of a target is alive, what its istiod has loaded signs nothing that anybody takes: its next
        # restart is the remedy, and a rotation waits for nobody.
        older = [each for each in self.chronicle.living(self.true_time) if each.target == name and each.end is not None]
        if not self.is_forgetful and older:
            assert not list(self.chronicle.refusals(name, self.true_time))

    def check_handshakes(self) -> None:
        if not self.is_forgetful:
            assert not list(self.chronicle.failures(self.true_time))

    def check_served(self) -> None:
        """Nothing runs out that could have been renewed."""
        situation = situate(self.spec, self.secrets.observe(self.spec), self.now)
        for name, target in situation.published.items():
            signer = situation.signer_of(target)
            if signer is not None and situation.can_sign(signer):
                assert self.now <= target.intermediate.not_after, f"{name} has run out"

    # --- The owner ------------------------------------------------------------

    @rule(seconds=st.integers(-1000, 1000))
    def another_root_is_asked_for(self, seconds: int) -> None:
        asked = self.now.replace(microsecond=0) + seconds * SECOND
        self.spec = replace(self.spec, root=replace(self.spec.root, issued_after=asked))

    @rule(seconds=st.integers(-1000, 1000))
    def new_intermediates_are_asked_for(self, seconds: int) -> None:
        asked = self.now.replace(microsecond=0) + seconds * SECOND
        self.spec = replace(self.spec, intermediate=replace(self.spec.intermediate, issued_after=asked))

    @rule(key=st.sampled_from(KEYS))
    def another_kind_of_root_is_asked_for(self, key: KeySpec) -> None:
        self.spec = replace(self.spec, root=replace(self.spec.root, key=key))

    @rule(key=st.sampled_from(KEYS))
    def another_kind_of_intermediate_is_asked_for(self, key: KeySpec) -> None:
        self.spec = replace(self.spec, intermediate=replace(self.spec.intermediate, key=key))

    @rule(data=st.data())
    def a_target_is_removed(self, data: st.DataObject) -> None:
        """Its proxies are left behind with what they have: nobody judges their handshakes any more."""
        if len(self.spec.targets) > 1:
            gone = data.draw(st.sampled_from(self.spec.targets))
            self.spec = replace(self.spec, targets=tuple(each for each in self.spec.targets if each != gone))
            self.chronicle.forget(gone.name)
            self.note_mishap()

    @rule(data=st.data())
    def a_target_is_added(self, data: st.DataObject) -> None:
        """Perhaps one that was there before, with all that it held then."""
        missing = {"t0", "t1", "t2"} - {target.name for target in self.spec.targets}
        if missing:
            name = data.draw(st.sampled_from(sorted(missing)))
            target = replace(self.spec.targets[0], name=name, ref=Ref(f"n{name[1:]}", "cacerts"))
            self.spec = replace(self.spec, targets=(*self.spec.targets, target))
            if name in self.secrets.targets:
                self.forget()

    @rule()
    def the_flag_of_istiod_is_turned(self) -> None:
        self.secrets.ignores_roots = not self.secrets.ignores_roots

    # --- What goes wrong ------------------------------------------------------

    def forget(self) -> None:
        self.is_forgetful = True

    def note_mishap(self) -> None:
        """Judge handshakes no more when traces were lost in two places at once.

        Either is enough to tell who signs: the targets' intermediates, or the roots'
        Secrets with the label of the newest. And either is enough to tell who is
        trusted: a root's Secret, or a bundle that it is in.
        """
        observed = self.secrets.observe(self.spec)
        dark = any(not isinstance(each, Published) or not each.intermediate for each in observed.targets.values())
        held = {root.certificate for root in self.secrets.roots.values()}
        unlabelled = len(held) > 1 and self.secrets.roots[max(self.secrets.roots)].state is None
        signers = {entry.content.signer for entry in self.chronicle.entries}
        known = {root.certificate for root in observed.roots}
        trusted = {root for entry in self.chronicle.mountable(self.true_time) for root in entry.content.bundle}
        if (dark and (unlabelled or not signers <= held)) or not trusted <= known:
            self.forget()

    def one_target(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.secrets.targets)))

    @precondition(lambda self: self.secrets.targets)
    @rule(data=st.data())
    def a_secret_is_deleted(self, data: st.DataObject) -> None:
        del self.secrets.targets[self.one_target(data)]
        self.note_mishap()

    @precondition(lambda self: self.secrets.targets)
    @rule(data=st.data(), damage=st.sampled_from(["file", "key", "annotations"]))
    def a_secret_is_damaged(self, data: st.DataObject, damage: str) -> None:
        """Istiod goes on with what it has: it loads nothing that does not match."""
        name = self.one_target(data)
        target, bundle = self.secrets.targets[name]
        if damage == "key":
            target = damaged(target, target.bundle)
        elif damage == "annotations":
            target = replace(target, bundle_since=target.written_at)
            target = replace(target, signer_since=target.written_at) if isinstance(target, Published) else target
        self.secrets.targets[name] = (replace(target, intact=False), bundle)
        self.note_mishap()

    @precondition(lambda self: self.secrets.targets)
    @rule(data=st.data())
    def a_bundle_loses_a_root(self, data: st.DataObject) -> None:
        """Handshakes fail by it, and that is not the operator's work; what it makes of it is."""
        name = self.one_target(data)
        target, bundle = self.secrets.targets[name]
        index = data.draw(st.integers(0, len(bundle)))
        left = (*target.bundle[:index], *target.bundle[index + 1 :])
        self.secrets.targets[name] = (
            replace(target, intact=False, bundle=left),
            (*bundle[:index], *bundle[index + 1 :]),
        )
        self.chronicle.close(name, self.true_time)
        self.note_mishap()

    @rule(data=st.data())
    def a_secret_is_not_ours_for_a_while(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.spec.targets)).name
        self.secrets.blocked ^= {name}
        self.note_mishap()

    @precondition(lambda self: self.secrets.roots)
    @rule(data=st.data())
    def a_root_is_lost(self, data: st.DataObject) -> None:
        del self.secrets.roots[data.draw(st.sampled_from(sorted(self.secrets.roots)))]
        self.note_mishap()

    @precondition(lambda self: self.secrets.roots)
    @rule(data=st.data())
    def a_label_is_lost(self, data: st.DataObject) -> None:
        revision = data.draw(st.sampled_from(sorted(self.secrets.roots)))
        self.secrets.roots[revision] = replace(self.secrets.roots[revision], state=None)
        self.note_mishap()

    # --- The end --------------------------------------------------------------

    def teardown(self) -> None:
        """When nothing goes wrong any more, time alone brings peace, under one root and with no key but its."""
        if not hasattr(self, "spec"):
            return
        self.secrets.blocked.clear()
        self.secrets.ignores_roots = False
        for _ in range(100):
            decision = self.settle()
            if self.is_at_peace():
                return
            if self.a_waiting_request_is_signed():
                continue
            wake = next_wake(decision, self.now)
            assert wake is not None, f"waits for nobody: {decision.holds}"
            self.true_time += wake - self.now
        raise AssertionError(f"no peace: {self.look().holds}")

    def a_waiting_request_is_signed(self) -> bool:
        """Sign what waits for it; tell whether there was anything."""
        return False

    def is_at_peace(self) -> bool:
        situation = situate(self.spec, self.secrets.observe(self.spec), self.now)
        standing = situation.standing
        assert standing is not None
        newest = standing.newest.revision
        return (
            phase(situation) is Phase.STEADY
            and why_rotate(situation, standing) is None
            and list(self.secrets.roots) == [newest]
            and len(situation.published) == len(self.spec.targets)
            and all(each.bundle == (newest,) for each in situation.published.values())
            and all(situation.signer_of(each) == standing.newest for each in situation.published.values())
        )


class DistantLife(Life):
    """The same where the keys of the roots are elsewhere: whoever has them signs when he likes, or never."""

    def with_a_key_of_its_own(self, after: Observed, revision: int) -> Root:
        return replace(super().with_a_key_of_its_own(after, revision), is_remote=True)

    def take(self, step: Step | None) -> None:
        super().take(step)
        asked = {name: replace(each, answer=each.answer or UNSIGNED) for name, each in self.secrets.requests.items()}
        self.secrets.requests = asked

    def check_signature(self, before: Observed, action: WriteCA) -> None:
        if action.issue:
            request = before.requests[Signature(action.target, action.signer)]
            assert isinstance(request.answer, Certificate)
            assert (request.key, request.is_used) == (self.spec.intermediate.key, False)

    def check_served(self) -> None:
        """Nothing runs out for which nobody was asked."""
        if not any(each.answer is UNSIGNED for each in self.secrets.requests.values()):
            super().check_served()

    @precondition(lambda self: self.secrets.requests)
    @rule(data=st.data())
    def a_request_is_signed(self, data: st.DataObject) -> None:
        self.sign(data.draw(st.sampled_from(sorted(self.secrets.requests))))

    @precondition(lambda self: self.secrets.requests)
    @rule(data=st.data())
    def a_request_is_lost(self, data: st.DataObject) -> None:
        del self.secrets.requests[data.draw(st.sampled_from(sorted(self.secrets.requests)))]

    def sign(self, signature: Signature) -> None:
        signed = next(iter(self.certificates.values()))  # which one is not looked at here
        self.secrets.requests[signature] = replace(self.secrets.requests[signature], answer=signed)

    def a_waiting_request_is_signed(self) -> bool:
        waiting = [name for name, each in self.secrets.requests.items() if each.answer is UNSIGNED]
        for name in waiting:
            self.sign(name)
        return bool(waiting)


class HurriedLife(Life):
    """The same where certificates live longer than the operator was told."""

    @initialize(spec=specs())
    def begin(self, spec: MeshCASpec) -> None:
        super().begin(spec)
        self.chronicle = Chronicle(spec.propagation_delay, spec.leaf_duration + 2 * SECOND)


SETTINGS = settings(
    max_examples=1000,
    stateful_step_count=50,
    derandomize=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLife = Life.TestCase
TestLife.settings = SETTINGS
TestDistantLife = DistantLife.TestCase
TestDistantLife.settings = settings(SETTINGS, max_examples=400)


def test_an_operator_that_is_told_wrong_is_found_out() -> None:
    quick = settings(SETTINGS, phases=[Generation.generate], print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(HurriedLife, settings=quick)
