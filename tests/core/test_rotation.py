"""The law of rotation as a table: one situation a row, and the one step that follows, or none."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from meshca.core.actions import (
    Action,
    CreateRoot,
    DestroyRoot,
    DropRequest,
    MarkRoot,
    OwnRoot,
    RequestCA,
    WriteBundle,
    WriteCA,
)
from meshca.core.model import Absent, Blocked, Observed, Request, Root, TargetState
from meshca.core.outcomes import NOTHING_ASIDE, Obstacle
from meshca.core.questions import Answer, Ask, AskReload, Pending, Signature
from meshca.core.rotation import plan
from meshca.core.situation import phase, situate
from meshca.core.spec import MeshCASpec
from meshca.errors import PKIError, SpecError
from meshca.pki.keys import Algorithm, KeySpec
from meshca.words.names import Phase
from meshca.words.reasons import Done, Found, Reason, Unfit
from meshca.words.text import when
from tests.core.situations import (
    ACTIVE,
    IGNORES,
    LOADS,
    LONG_AGO,
    NOW,
    P256,
    PREPARED,
    SOLE,
    D,
    T,
    damaged,
    joined,
    listed,
    lost,
    observed,
    published,
    root,
    several,
    spec,
)

DEFAULTS = spec()
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
FOREIGN = Blocked(Found.FOREIGN_SECRET, "not ours")
DONE = NOW - T - D - 2 * SECOND
"""A change so long ago that every wait after it is over."""
GIVEN = {"source": {"secret": {"name": "mine"}}}
BUNDLE = "ConfigMap mesh-trust-bundle"
WITH_BUNDLE = spec(trustBundle={"configMap": {}})
RENEW = WriteCA("istio", 1, (1,), issue=True)


@dataclass(frozen=True)
class Row:
    """What is observed, and what must follow.

    Attributes:
        action: the step's, or None when no step is due.
        phase: what the MeshCA shows.
        stalled: the reasons why it waits for a person.
    """

    observed: Observed
    action: Action | None
    phase: Phase = Phase.STEADY
    spec: MeshCASpec = DEFAULTS
    stalled: tuple[Reason, ...] = ()


A, B = root(1, SOLE), root(2, SOLE)
OLD = root(1, SOLE, made=NOW - timedelta(days=9 * 365))
LAST_END = NOW + 2 * T + 4 * D + 4 * SECOND
LAST, NOT_YET = root(1, SOLE, ends=LAST_END), root(1, SOLE, ends=LAST_END + SECOND)
"""Roots at the last moment at which a rotation away from them is safe, and a second before."""
ENDING = root(1, SOLE, ends=NOW + 20 * DAY)
DEAD = root(1, SOLE, made=NOW - timedelta(days=3651), ends=NOW - DAY)
DEAD_B = root(2, SOLE, made=NOW - timedelta(days=3651), ends=NOW - DAY)

BIRTH = {
    "nothing exists: the first root is made, and is the only one": Row(
        observed([], Absent()), CreateRoot(1, SOLE), Phase.PENDING
    ),
    "a root exists: the target gets its Secret": Row(
        observed([A], Absent()), WriteCA("istio", 1, (1,), issue=True), Phase.PENDING
    ),
    "all is well: nothing": Row(observed([A], published(A, 1)), None),
    "the only target is foreign: no key is made for it": Row(
        observed([], FOREIGN), None, Phase.PENDING, stalled=(Found.FOREIGN_SECRET,)
    ),
    "one of two targets is foreign: the other is served": Row(
        observed([A], FOREIGN, Absent()),
        WriteCA("t1", 1, (1,), issue=True),
        Phase.PENDING,
        several(2),
        (Found.FOREIGN_SECRET,),
    ),
    "one of two targets is foreign before there is a root: it is made for the other": Row(
        observed([], FOREIGN, Absent()), CreateRoot(1, SOLE), Phase.PENDING, several(2)
    ),
    "a given root is imported": Row(
        observed([], Absent(), given=A.certificate), CreateRoot(1, SOLE, given=True), Phase.PENDING, spec(root=GIVEN)
    ),
    "a given root that is no good is told, and nothing is made": Row(
        observed([], Absent(), given=PKIError(Unfit.ROOT_EXPIRED, "expired")),
        None,
        Phase.PENDING,
        spec(root=GIVEN),
        (Unfit.ROOT_EXPIRED,),
    ),
    "a ConfigMap is wanted: the bundle is published": Row(
        observed([A], published(A, 1)).with_target(BUNDLE, Absent()),
        WriteBundle(BUNDLE, (1,)),
        spec=WITH_BUNDLE,
    ),
    "a ConfigMap is right: nothing": Row(
        observed([A], published(A, 1)).with_target(BUNDLE, listed(1)), None, spec=WITH_BUNDLE
    ),
    "a ConfigMap was edited: it is put back": Row(
        observed([A], published(A, 1)).with_target(BUNDLE, listed(1, intact=False)),
        WriteBundle(BUNDLE, (1,)),
        spec=WITH_BUNDLE,
    ),
    "a ConfigMap lacks the new root: it is the first to get it": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE)).with_target(BUNDLE, listed(1)),
        WriteBundle(BUNDLE, (2, 1)),
        Phase.TRUST,
        WITH_BUNDLE,
    ),
    "a ConfigMap has the new root, and its readers have not loaded it: they are waited for": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE)).with_target(BUNDLE, listed(2, 1, since=NOW)),
        None,
        Phase.TRUST,
        WITH_BUNDLE,
    ),
    "a ConfigMap is loaded a second after D: its readers are waited for": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE)).with_target(
            BUNDLE, listed(2, 1, since=NOW - D)
        ),
        None,
        Phase.TRUST,
        WITH_BUNDLE,
    ),
    "a ConfigMap, which signs nothing, does not hold up Drain": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=DONE)).with_target(BUNDLE, listed(2, 1)),
        MarkRoot(2, SOLE),
        Phase.DRAIN,
        WITH_BUNDLE,
    ),
    "a ConfigMap is immutable: it is told of, and not written": Row(
        observed([A], published(A, 1)).with_target(BUNDLE, listed(1, intact=False, immutable=True)),
        None,
        spec=WITH_BUNDLE,
        stalled=(Found.CONFIG_MAP_IMMUTABLE,),
    ),
    "a ConfigMap is another's: no root signs that its readers do not trust": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE)).with_target(BUNDLE, FOREIGN),
        None,
        Phase.TRUST,
        WITH_BUNDLE,
        (Found.FOREIGN_SECRET,),
    ),
    "a ConfigMap is another's: no rotation begins": Row(
        observed([OLD], published(OLD, 1)).with_target(BUNDLE, FOREIGN),
        None,
        spec=WITH_BUNDLE,
        stalled=(Found.FOREIGN_SECRET,),
    ),
    "a ConfigMap is another's, and the root would end before its rotation: that begins without it": Row(
        observed([LAST], published(LAST, 1, ends=LAST_END)).with_target(BUNDLE, FOREIGN),
        CreateRoot(2, PREPARED),
        spec=WITH_BUNDLE,
        stalled=(Found.FOREIGN_SECRET,),
    ),
    "a second earlier it does not": Row(
        observed([NOT_YET], published(NOT_YET, 1, ends=NOT_YET.certificate.not_after)).with_target(BUNDLE, FOREIGN),
        None,
        spec=WITH_BUNDLE,
        stalled=(Found.FOREIGN_SECRET,),
    ),
    "nor where the other is a CA": Row(
        observed([LAST], published(LAST, 1, ends=LAST_END), FOREIGN),
        None,
        spec=several(2),
        stalled=(Found.FOREIGN_SECRET,),
    ),
    "a ConfigMap is immutable, and the root would end: its rotation begins": Row(
        observed([LAST], published(LAST, 1, ends=LAST_END)).with_target(BUNDLE, listed(1, immutable=True)),
        CreateRoot(2, PREPARED),
        spec=WITH_BUNDLE,
        stalled=(Found.CONFIG_MAP_IMMUTABLE,),
    ),
    "and goes on": Row(
        observed([LAST, root(2, PREPARED)], published(LAST, 2, 1, since=DONE, ends=LAST_END)).with_target(
            BUNDLE, listed(1, immutable=True)
        ),
        MarkRoot(2, ACTIVE),
        Phase.TRUST,
        WITH_BUNDLE,
        (Found.CONFIG_MAP_IMMUTABLE,),
    ),
    "also where it has become another's": Row(
        observed([LAST, root(2, PREPARED)], published(LAST, 2, 1, since=DONE, ends=LAST_END)).with_target(
            BUNDLE, FOREIGN
        ),
        MarkRoot(2, ACTIVE),
        Phase.TRUST,
        WITH_BUNDLE,
        (Found.FOREIGN_SECRET,),
    ),
    "a ConfigMap is all that there is to see after the old root has gone: nothing": Row(
        observed([B], published(B, 2)).with_target(BUNDLE, listed(2, since=NOW)), None, spec=WITH_BUNDLE
    ),
}

INTERMEDIATES = {
    "an intermediate is renewed while another target holds up the switch": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE, ends=NOW + DAY), FOREIGN),
        WriteCA("t0", 1, (2, 1), issue=True),
        Phase.TRUST,
        several(2),
        (Found.FOREIGN_SECRET,),
    ),
    "an intermediate is renewed while istiod's flag holds up the switch": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE, ends=NOW + DAY), reload=IGNORES),
        WriteCA("istio", 1, (2, 1), issue=True),
        Phase.TRUST,
        stalled=(Found.MULTI_ROOT_DISABLED,),
    ),
    "an intermediate under the old root is renewed while its target waits to switch": Row(
        observed([A, root(2, ACTIVE)], published(A, 2, 1, since=NOW - T, ends=NOW + DAY)),
        WriteCA("istio", 1, (2, 1), issue=True),
        Phase.SWITCH,
    ),
    "a CRL is there: istiod would refuse a new intermediate, and the old one still works": Row(
        observed([A], published(A, 1, ends=NOW + DAY, has_crl=True)), None, stalled=(Found.CRL_PRESENT,)
    ),
    "a CRL is there and the intermediate has expired: there is nothing left to lose": Row(
        observed([A], published(A, 1, ends=NOW - DAY, has_crl=True)), RENEW
    ),
    "an intermediate 30 days before its end is renewed": Row(
        observed([A], published(A, 1, ends=NOW + 30 * DAY)), RENEW
    ),
    "an intermediate a second earlier is not": Row(observed([A], published(A, 1, ends=NOW + 30 * DAY + SECOND)), None),
    "an intermediate that is not loaded yet is not renewed over": Row(
        observed([A], published(A, 1, ends=NOW + 30 * DAY, written_at=NOW - D)), None
    ),
    "an expired intermediate is renewed at once": Row(
        observed([A], published(A, 1, ends=NOW - SECOND, written_at=NOW - SECOND)), RENEW
    ),
    "renewBefore shorter than a leaf's life: renewed while leaves can still end first": Row(
        observed([A], published(A, 1, ends=NOW + T + D + SECOND)),
        RENEW,
        spec=spec(intermediate={"renewBefore": "1h"}),
    ),
    "an intermediate that ends with its root in a month cannot gain by renewal": Row(
        observed([ENDING], published(ENDING, 1, ends=ENDING.certificate.not_after), reload=IGNORES),
        None,
        stalled=(Found.MULTI_ROOT_DISABLED,),
    ),
    "and so that the last change before it can be loaded first": Row(
        observed([A], published(A, 1, ends=NOW + T + 2 * D + 2 * SECOND)),
        RENEW,
        spec=spec(intermediate={"renewBefore": "1h"}),
    ),
    "but not a second earlier": Row(
        observed([A], published(A, 1, ends=NOW + T + 2 * D + 3 * SECOND)),
        None,
        spec=spec(intermediate={"renewBefore": "1h"}),
    ),
    "an intermediate as long as its root cannot gain by renewal": Row(
        observed([OLD], published(OLD, 1, ends=OLD.certificate.not_after), reload=IGNORES),
        None,
        stalled=(Found.MULTI_ROOT_DISABLED,),
    ),
    "another key type is wanted: a new intermediate": Row(
        observed([A], published(A, 1)), RENEW, spec=spec(intermediate={"privateKey": {"algorithm": "RSA"}})
    ),
    "issuedAfter is later than the intermediate: a new one": Row(
        observed([A], published(A, 1)), RENEW, spec=spec(intermediate={"issuedAfter": "2026-01-01T12:00:00Z"})
    ),
    "issuedAfter is earlier: nothing": Row(
        observed([A], published(A, 1)), None, spec=spec(intermediate={"issuedAfter": "2025-06-01T12:00:00Z"})
    ),
    "issuedAfter is the very second in which the intermediate was made: nothing": Row(
        observed([A], published(A, 1)), None, spec=spec(intermediate={"issuedAfter": "2025-12-12T12:00:00Z"})
    ),
    "issuedAfter of the intermediates is in the future: nothing yet": Row(
        observed([A], published(A, 1)), None, spec=spec(intermediate={"issuedAfter": "2026-01-01T12:00:01Z"})
    ),
    "an intermediate in its last second is renewed, loaded or not": Row(
        observed([A], published(A, 1, ends=NOW, written_at=NOW - SECOND)), RENEW
    ),
    "an intermediate in its last second is still valid: Trust goes on": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW, ends=NOW)),
        WriteCA("istio", 1, (2, 1), issue=True),
        Phase.TRUST,
    ),
    "an intermediate is renewed in Retire: the bundle stays as it is": Row(
        observed([A, B], published(B, 2, 1, since=NOW - T, ends=NOW + DAY)),
        WriteCA("istio", 2, (2, 1), issue=True),
        Phase.RETIRE,
    ),
    "an intermediate is renewed in the middle of Trust": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, bundle_since=NOW - D, ends=NOW + DAY)),
        WriteCA("istio", 1, (2, 1), issue=True),
        Phase.TRUST,
    ),
    "an intermediate that is about to be switched is not renewed first": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, bundle_since=DONE, written_at=NOW - D, ends=NOW + DAY)),
        None,
        Phase.TRUST,
    ),
}

ROTATION = {
    "a root two years before its end: the next one is prepared": Row(
        observed([OLD], published(OLD, 1)), CreateRoot(2, PREPARED)
    ),
    "a root at that very second": Row(
        observed([root(1, SOLE, ends=NOW + timedelta(hours=17520))], published(A, 1)), CreateRoot(2, PREPARED)
    ),
    "a root a second earlier: nothing": Row(
        observed([root(1, SOLE, ends=NOW + timedelta(hours=17520) + SECOND)], published(A, 1)), None
    ),
    "renewBefore shorter than a rotation: it starts while it can still end": Row(
        observed([root(1, SOLE, ends=NOW + 2 * T + 4 * D)], published(A, 1)),
        CreateRoot(2, PREPARED),
        spec=spec(root={"renewBefore": "1h"}),
    ),
    "issuedAfter is later than the root: the next one": Row(
        observed([A], published(A, 1)), CreateRoot(2, PREPARED), spec=spec(root={"issuedAfter": "2026-01-01T12:00:00Z"})
    ),
    "issuedAfter is the very second in which the root was made: nothing": Row(
        observed([A], published(A, 1)), None, spec=spec(root={"issuedAfter": "2025-09-23T12:00:00Z"})
    ),
    "issuedAfter is before the root: nothing": Row(
        observed([A], published(A, 1)), None, spec=spec(root={"issuedAfter": "2025-01-01T00:00:00Z"})
    ),
    "issuedAfter is in the future: nothing yet": Row(
        observed([A], published(A, 1)), None, spec=spec(root={"issuedAfter": "2026-01-01T12:00:01Z"})
    ),
    "another key type is wanted: the next root": Row(
        observed([A], published(A, 1)),
        CreateRoot(2, PREPARED),
        spec=spec(root={"privateKey": {"algorithm": "ECDSA", "size": 384}}),
    ),
    "the last change is not loaded: no rotation yet": Row(observed([OLD], published(OLD, 1, written_at=NOW - D)), None),
    "istiod would ignore it: held before the first write": Row(
        observed([OLD], published(OLD, 1), reload=IGNORES), None, stalled=(Found.MULTI_ROOT_DISABLED,)
    ),
    "istiod would ignore it, but its owner says it is live": Row(
        observed([OLD], published(OLD, 1), reload=IGNORES),
        CreateRoot(2, PREPARED),
        spec=spec(targets=[{"name": "istio", "istio": {"rootReload": "Live"}}]),
    ),
    "a CRL is there: held": Row(observed([OLD], published(OLD, 1, has_crl=True)), None, stalled=(Found.CRL_PRESENT,)),
    "a target became immutable before it got the new root: no root signs that it does not trust": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE), published(A, 1, immutable=True)),
        None,
        Phase.PREPARE,
        several(2),
        (Found.SECRET_IMMUTABLE,),
    ),
    "a CRL appears in Trust: the new root may not sign yet": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE, has_crl=True)),
        None,
        Phase.TRUST,
        stalled=(Found.CRL_PRESENT,),
    ),
    "one target is foreign: no rotation without it": Row(
        observed([OLD], published(OLD, 1), FOREIGN),
        None,
        spec=several(2),
        stalled=(Found.FOREIGN_SECRET,),
    ),
    "Prepare: the new root joins the bundle, the old one goes on signing": Row(
        observed([A, root(2, PREPARED)], published(A, 1)),
        WriteCA("istio", 1, (2, 1), issue=False),
        Phase.PREPARE,
    ),
    "Trust: every target in turn": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW), published(A, 1)),
        WriteCA("t1", 1, (2, 1), issue=False),
        Phase.PREPARE,
        several(2),
    ),
    "Trust lasts for D + T": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW - T - D)), None, Phase.TRUST
    ),
    "Trust ends after D + T": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW - T - D - SECOND)),
        MarkRoot(2, ACTIVE),
        Phase.TRUST,
    ),
    "Trust ends only when it has for every target": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE), published(A, 2, 1, since=NOW - T)),
        None,
        Phase.TRUST,
        several(2),
    ),
    "Trust does not end without a target that is not ours any more": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE), FOREIGN),
        None,
        Phase.TRUST,
        several(2),
        (Found.FOREIGN_SECRET,),
    ),
    "Trust does not end when istiod has stopped loading roots": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE), reload=IGNORES),
        None,
        Phase.TRUST,
        stalled=(Found.MULTI_ROOT_DISABLED,),
    ),
    "Trust begins anew when istiod was only lately told to load changed roots": Row(
        observed(
            [A, root(2, PREPARED)],
            published(A, 2, 1, since=NOW - 2 * (T + D)),
            reload=Answer(None, "", since=NOW - T - D),
        ),
        None,
        Phase.TRUST,
    ),
    "and ends as ever after that": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE), reload=Answer(None, "", since=DONE)),
        MarkRoot(2, ACTIVE),
        Phase.TRUST,
    ),
    "no rotation begins before the istiod that was told to load roots is up": Row(
        observed([OLD], published(OLD, 1), reload=Answer(None, "", since=NOW - D)), None
    ),
    "Switch: the new root signs, the bundle stays": Row(
        observed([A, root(2, ACTIVE)], published(A, 2, 1, since=DONE)),
        WriteCA("istio", 2, (2, 1), issue=True),
        Phase.SWITCH,
    ),
    "Switch: a label alone does not shorten a target's own wait": Row(
        observed([A, root(2, ACTIVE)], published(A, 2, 1, since=NOW - T)), None, Phase.SWITCH
    ),
    "Drain lasts for D + T": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW - T - D)), None, Phase.DRAIN
    ),
    "Drain ends after D + T": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=DONE)), MarkRoot(2, SOLE), Phase.DRAIN
    ),
    "Drain does not end when istiod has stopped loading roots": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=DONE), reload=IGNORES),
        None,
        Phase.DRAIN,
        stalled=(Found.MULTI_ROOT_DISABLED,),
    ),
    "Switch lasts until the last target has switched": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW), published(A, 2, 1, since=NOW - T)),
        None,
        Phase.SWITCH,
        several(2),
    ),
    "Drain ends only when it has for every target": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=DONE), published(root(2), 2, 1, since=NOW - T)),
        None,
        Phase.DRAIN,
        several(2),
    ),
    "Retire: the old root leaves the bundle, the signer stays": Row(
        observed([A, B], published(B, 2, 1, since=DONE)),
        WriteCA("istio", 2, (2,), issue=False),
        Phase.RETIRE,
    ),
    "Retire: a label alone does not drop a root that leaves may still need": Row(
        observed([A, B], published(B, 2, 1, since=NOW - T)), None, Phase.RETIRE
    ),
    "Retire: a root stays while certificates of another target under it are valid": Row(
        observed([A, B], published(B, 2, 1, since=DONE), published(B, 2, 1, since=DONE, signer_since=NOW - T)),
        None,
        Phase.RETIRE,
        several(2),
    ),
    "Retire: a root stays while another target signs under it": Row(
        observed([A, B], published(B, 2, 1, since=DONE), published(A, 2, 1, since=DONE)),
        WriteCA("t1", 2, (2, 1), issue=True),
        Phase.RETIRE,
        several(2),
    ),
    "Retire: a bundle shrinks only when its last change is loaded": Row(
        observed([A, B], published(B, 2, 1, since=DONE, bundle_since=NOW - D)), None, Phase.RETIRE
    ),
    "Retire lasts until the smaller bundle is loaded": Row(
        observed([A, B], published(B, 2, since=NOW - D)), None, Phase.RETIRE
    ),
    "Retire ends with the old key": Row(
        observed([A, B], published(B, 2, since=NOW - D - SECOND)), DestroyRoot(1), Phase.RETIRE
    ),
    "the old key lives as long as one target trusts its root": Row(
        observed([A, B], published(B, 2, since=DONE), published(B, 2, 1, since=NOW)), None, Phase.RETIRE, several(2)
    ),
    "asked for a third root in the middle: the rotation under way ends first": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, 1, since=NOW)),
        None,
        Phase.DRAIN,
        spec(root={"issuedAfter": "2026-01-01T12:00:00Z"}),
    ),
}

REPAIR = {
    "a bundle that lost the very root it signs under gets it back": Row(
        observed([A, B], published(A, 2, intact=False)), WriteCA("istio", 1, (2, 1), issue=False), Phase.RETIRE
    ),
    "a deleted Secret in Trust comes back under the old root, with both trusted": Row(
        observed([A, root(2, PREPARED)], Absent(was_published=True)),
        WriteCA("istio", 1, (2, 1), issue=True),
        Phase.PENDING,
    ),
    "a deleted Secret in Drain comes back under the new root, with both trusted": Row(
        observed([A, root(2, ACTIVE)], Absent()), WriteCA("istio", 2, (2, 1), issue=True), Phase.PENDING
    ),
    "a deleted Secret in Retire comes back without the old root": Row(
        observed([A, B], Absent()), WriteCA("istio", 2, (2,), issue=True), Phase.PENDING
    ),
    "an edited file is put back, the intermediate kept": Row(
        observed([A], published(A, 1, intact=False)), WriteCA("istio", 1, (1,), issue=False)
    ),
    "an edited file is put back while a wait goes on": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=NOW, intact=False)),
        WriteCA("istio", 1, (2, 1), issue=False),
        Phase.TRUST,
    ),
    "an edited file is put back before the new root may sign": Row(
        observed([A, root(2, PREPARED)], published(A, 2, 1, since=DONE, intact=False)),
        WriteCA("istio", 1, (2, 1), issue=False),
        Phase.TRUST,
    ),
    "a damaged key needs a new intermediate": Row(observed([A], damaged(1)), WriteCA("istio", 1, (1,), issue=True)),
    "a bundle that lost its root gets it back": Row(
        observed([A], published(A, intact=False)), WriteCA("istio", 1, (1,), issue=False)
    ),
    "a bundle that lost the old root in Drain gets it back": Row(
        observed([A, root(2, ACTIVE)], published(root(2), 2, intact=False)),
        WriteCA("istio", 2, (2, 1), issue=False),
        Phase.DRAIN,
    ),
    "a Secret from a backup before the last rotation is led through it, not jumped": Row(
        observed([lost(1), B], published(lost(1), 1)), WriteCA("istio", 1, (2, 1), issue=False)
    ),
    "and waits like any other": Row(
        observed([lost(1), B], published(lost(1), 2, 1, since=NOW - T)), None, Phase.RETIRE
    ),
    "and then switches, and both stay trusted": Row(
        observed([lost(1), B], published(lost(1), 2, 1, since=DONE)),
        WriteCA("istio", 2, (2, 1), issue=True),
        Phase.RETIRE,
    ),
    "deletionPolicy Delete ties no root whose Secret is gone": Row(
        observed([lost(1)], published(lost(1), 1, owned=True)),
        CreateRoot(2, PREPARED),
        spec=spec(deletionPolicy="Delete"),
    ),
    "deletionPolicy Delete ties the roots": Row(
        observed([A], published(A, 1)), OwnRoot(1, owned=True), spec=spec(deletionPolicy="Delete")
    ),
    "deletionPolicy Delete ties the targets": Row(
        observed([replace(A, owned=True)], published(A, 1)),
        WriteCA("istio", 1, (1,), issue=False),
        spec=spec(deletionPolicy="Delete"),
    ),
    "deletionPolicy Retain unties them again": Row(
        observed([replace(A, owned=True)], published(A, 1, owned=True)), OwnRoot(1, owned=False)
    ),
    "a lost label in Trust is read from who signs": Row(
        observed([A, root(2)], published(A, 2, 1, since=NOW - T)), None, Phase.TRUST
    ),
    "a lost label in Drain is read from who signs": Row(
        observed([A, root(2)], published(root(2), 2, 1, since=NOW - T)), None, Phase.DRAIN
    ),
    "a lost label in peace changes nothing": Row(observed([root(1)], published(root(1), 1)), None),
}

LOSS = {
    "the root's Secret is lost: serve on, and lead the mesh to a new root": Row(
        observed([lost(1)], published(lost(1), 1)), CreateRoot(2, PREPARED)
    ),
    "its intermediate cannot be renewed any more": Row(
        observed([lost(1), root(2, PREPARED)], published(lost(1), 2, 1, since=NOW - D, ends=NOW + DAY)),
        None,
        Phase.TRUST,
        stalled=(Found.ROOT_KEY_LOST,),
    ),
    "the new root of a rotation is lost before it signed: it leaves again": Row(
        observed([A, lost(2)], published(A, 2, 1, since=NOW - T, signer_since=LONG_AGO)),
        WriteCA("istio", 1, (1,), issue=False),
        Phase.RETIRE,
    ),
    "the new root of a rotation is lost while it signs: a third one is prepared": Row(
        observed([A, lost(2)], published(lost(2), 2, 1)), CreateRoot(3, PREPARED)
    ),
    "and joins both": Row(
        observed([A, lost(2), root(3, PREPARED)], published(lost(2), 2, 1)),
        WriteCA("istio", 2, (3, 2, 1), issue=False),
        Phase.PREPARE,
    ),
    "every key is lost and the intermediate too: a new root at once, the old one trusted on": Row(
        observed([lost(1)], damaged(1)), CreateRoot(2, ACTIVE), Phase.PENDING
    ),
    "nor one whose intermediate is lost too, and which nobody waits for": Row(
        observed([lost(1), root(2, PREPARED)], published(lost(1), 2, 1, since=DONE, ends=NOW + 80 * DAY), damaged(1)),
        MarkRoot(2, ACTIVE),
        Phase.PREPARE,
        several(2),
        (Found.ROOT_KEY_LOST,),
    ),
    "the key is lost and a target cannot be seen: its proxies may not trust the new root": Row(
        observed([lost(1), root(2, PREPARED)], published(lost(1), 2, 1, since=DONE), FOREIGN),
        None,
        Phase.TRUST,
        several(2),
        (Found.FOREIGN_SECRET,),
    ),
    "the first root is lost for good: its number is not given again": Row(
        observed([B], published(B, 2)), CreateRoot(3, PREPARED), spec=spec(root={"issuedAfter": "2026-01-01T12:00:00Z"})
    ),
    "a lost root cannot serve a target that is not there": Row(
        observed([lost(1)], published(lost(1), 1), Absent()),
        CreateRoot(2, PREPARED),
        spec=several(2),
        stalled=(Found.ROOT_KEY_LOST,),
    ),
}

EXPIRY = {
    "the newest root expired before a target came to it: a third one is prepared": Row(
        observed([lost(1), DEAD_B], published(lost(1), 2, 1)), CreateRoot(3, PREPARED), Phase.RETIRE
    ),
    "the newest root expired: no older key is destroyed": Row(
        observed([A, DEAD_B], published(DEAD_B, 2, since=LONG_AGO)), CreateRoot(3, PREPARED), Phase.RETIRE
    ),
    "an expired root: the next one": Row(observed([DEAD], published(DEAD, 1)), CreateRoot(2, PREPARED)),
    "nothing under an expired root is valid: Trust need not wait": Row(
        observed([DEAD, root(2, PREPARED)], published(DEAD, 2, 1, since=NOW)), MarkRoot(2, ACTIVE), Phase.TRUST
    ),
    "an expired root can serve no target that is not there: a new root first": Row(
        observed([DEAD], Absent()), CreateRoot(2, PREPARED), Phase.PENDING
    ),
    "which need not be trusted by anybody before it signs": Row(
        observed([DEAD, root(2, PREPARED)], Absent()), MarkRoot(2, ACTIVE), Phase.PENDING
    ),
    "and then serves it": Row(
        observed([DEAD, root(2, ACTIVE)], Absent()), WriteCA("istio", 2, (2, 1), issue=True), Phase.PENDING
    ),
    "the new root of a rotation expired before it could sign: a third one": Row(
        observed(
            [DEAD, root(2, ACTIVE, made=NOW - timedelta(days=3652), ends=NOW - DAY)], published(DEAD, 2, 1, since=DONE)
        ),
        CreateRoot(3, PREPARED),
        Phase.SWITCH,
    ),
    "an expired root is not asked for another key type": Row(
        observed([DEAD], published(DEAD, 1, written_at=NOW)),
        None,
        spec=spec(intermediate={"privateKey": {"algorithm": "RSA"}}),
    ),
    "where all is expired, an istiod that ignores new roots holds nothing up": Row(
        observed([DEAD], published(DEAD, 1), reload=IGNORES), CreateRoot(2, PREPARED)
    ),
    "nor need the switch": Row(
        observed([DEAD, root(2, ACTIVE)], published(DEAD, 2, 1, since=NOW)),
        WriteCA("istio", 2, (2, 1), issue=True),
        Phase.SWITCH,
    ),
}

IMPORT = {
    "the given root is the one in use: nothing": Row(
        observed([replace(A, source="secret", given=True)], published(A, 1), given=A.certificate),
        None,
        spec=spec(root=GIVEN),
    ),
    "another root was put into the Secret: it is imported as the next": Row(
        observed([replace(A, source="secret", given=True)], published(A, 1), given=root(2).certificate),
        CreateRoot(2, PREPARED, given=True),
        spec=spec(root=GIVEN),
    ),
    "the Secret was spoilt: the root in use serves on": Row(
        observed(
            [replace(A, source="secret", given=True)],
            published(A, 1),
            given=PKIError(Unfit.ROOT_KEY_MISMATCH, "mismatch"),
        ),
        None,
        spec=spec(root=GIVEN),
        stalled=(Unfit.ROOT_KEY_MISMATCH,),
    ),
    "a given root is due: its owner is asked for the next": Row(
        observed([replace(OLD, given=True)], published(OLD, 1), given=OLD.certificate),
        None,
        spec=spec(root=GIVEN),
        stalled=(Found.WAITING_FOR_ROOT,),
    ),
    "from given to generated: the next root is generated": Row(
        observed([replace(A, source="secret", given=True)], published(A, 1)), CreateRoot(2, PREPARED)
    ),
    "a copy of the same key and name is no reason to sign again": Row(
        observed(
            [replace(A, source="secret", given=True), root(2, PREPARED, name="root 1", made=NOW, given=True)],
            published(A, 2, 1, since=NOW - D),
            given=root(2, name="root 1", made=NOW).certificate,
        ),
        None,
        Phase.TRUST,
        spec(root=GIVEN),
    ),
    "a copy of the same key and name may sign after Trust like any other root": Row(
        observed(
            [replace(A, source="secret", given=True), root(2, PREPARED, name="root 1", made=NOW, given=True)],
            published(A, 2, 1, since=DONE),
            given=root(2, name="root 1", made=NOW).certificate,
        ),
        MarkRoot(2, ACTIVE),
        Phase.TRUST,
        spec(root=GIVEN),
    ),
    "nobody knows where a root came from: it stays": Row(observed([root(1, SOLE, source="")], published(A, 1)), None),
    "roots shall come from another kind of custody: the next one does": Row(
        observed([root(1, SOLE, source="vault")], published(A, 1)), CreateRoot(2, PREPARED)
    ),
    "the given root's key type is its maker's business": Row(
        observed(
            [root(1, SOLE, given=True, key=KeySpec(Algorithm.RSA, 4096))],
            published(A, 1),
            given=root(1, key=KeySpec(Algorithm.RSA, 4096)).certificate,
        ),
        None,
        spec=spec(root=GIVEN),
    ),
}

FAR = root(1, SOLE, is_remote=True)
FAR_B = root(2, ACTIVE, is_remote=True)
ISTIO_1, ISTIO_2 = Signature("istio", 1), Signature("istio", 2)
REQUESTED = Request(P256)
SIGNED = replace(REQUESTED, answer=published(FAR).intermediate)
ASKED = replace(REQUESTED, answer=Pending("the request was sent", NOW + DAY))
REFUSED = replace(REQUESTED, answer=Pending("the ticket was closed", stalled=True))
ENDING_SOON = published(FAR, 1, ends=NOW + DAY)

REMOTE = {
    "a root's key is elsewhere: the request for an intermediate is stored first": Row(
        observed([FAR], Absent()), RequestCA(ISTIO_1), Phase.PENDING
    ),
    "a request is stored: nothing is written before somebody was asked": Row(
        observed([FAR], Absent(), requests={ISTIO_1: REQUESTED}), None, Phase.PENDING
    ),
    "a request is not signed yet: nothing is written": Row(
        observed([FAR], Absent(), requests={ISTIO_1: ASKED}), None, Phase.PENDING
    ),
    "a request was refused: a person has to know": Row(
        observed([FAR], Absent(), requests={ISTIO_1: REFUSED}),
        None,
        Phase.PENDING,
        stalled=(Found.WAITING_FOR_SIGNATURE,),
    ),
    "a request is signed: its target gets the intermediate": Row(
        observed([FAR], Absent(), requests={ISTIO_1: SIGNED}), WriteCA("istio", 1, (1,), issue=True), Phase.PENDING
    ),
    "a renewal is due under a root elsewhere: it is requested": Row(observed([FAR], ENDING_SOON), RequestCA(ISTIO_1)),
    "a renewal is signed: it is written": Row(observed([FAR], ENDING_SOON, requests={ISTIO_1: SIGNED}), RENEW),
    "a request to another root is of no use: there is one to each": Row(
        observed([A, FAR_B], published(A, 2, 1, since=DONE), requests={ISTIO_1: SIGNED}),
        RequestCA(ISTIO_2),
        Phase.SWITCH,
    ),
    "a switch and a renewal wait for their signatures: each has its own": Row(
        observed(
            [FAR, FAR_B], published(FAR, 2, 1, since=DONE, ends=NOW + DAY), requests={ISTIO_1: SIGNED, ISTIO_2: ASKED}
        ),
        WriteCA("istio", 1, (2, 1), issue=True),
        Phase.SWITCH,
    ),
    "the root of a request is gone: the request is closed": Row(
        observed([FAR], published(FAR, 1), requests={Signature("istio", 7): REQUESTED}),
        DropRequest(Signature("istio", 7)),
    ),
    "the request was for another kind of key: it is made anew": Row(
        observed([FAR], ENDING_SOON, requests={ISTIO_1: replace(SIGNED, key=KeySpec(Algorithm.RSA, 2048))}),
        RequestCA(ISTIO_1),
    ),
    "the request was answered by the last renewal: it is made anew": Row(
        observed([FAR], ENDING_SOON, requests={ISTIO_1: replace(SIGNED, is_used=True)}), RequestCA(ISTIO_1)
    ),
    "the certificate of a request is in place: the request is closed": Row(
        observed([FAR], published(FAR, 1), requests={ISTIO_1: replace(REQUESTED, is_used=True)}), DropRequest(ISTIO_1)
    ),
    "the target of a request is gone: the request is closed": Row(
        observed([FAR], published(FAR, 1), requests={Signature("gone", 1): REQUESTED}),
        DropRequest(Signature("gone", 1)),
    ),
    "a request that was not needed in the end waits for the next need": Row(
        observed([FAR], published(FAR, 1), requests={ISTIO_1: REQUESTED}), None
    ),
    "the key of the root is here: nobody is asked": Row(
        observed([A], published(A, 1, ends=NOW + DAY), requests={ISTIO_1: ASKED}), RENEW
    ),
    "every proxy trusts the new root, which is elsewhere: the switch is requested": Row(
        observed([A, FAR_B], published(A, 2, 1, since=DONE)), RequestCA(ISTIO_2), Phase.SWITCH
    ),
    "a target that waits for the signature of its switch was edited: it is put back meanwhile": Row(
        observed(
            [A, FAR_B],
            published(A, 2, 1, since=DONE, intact=False),
            requests={ISTIO_2: ASKED},
        ),
        WriteCA("istio", 1, (2, 1), issue=False),
        Phase.SWITCH,
    ),
    "one target's signature is waited for: the other switches": Row(
        observed(
            [A, FAR_B],
            published(A, 2, 1, since=DONE),
            published(A, 2, 1, since=DONE),
            requests={Signature("t0", 2): ASKED, Signature("t1", 2): SIGNED},
        ),
        WriteCA("t1", 2, (2, 1), issue=True),
        Phase.SWITCH,
        several(2),
    ),
    "one target's signature is waited for: the old root stays trusted by the other": Row(
        observed(
            [A, FAR_B],
            published(A, 2, 1, since=DONE),
            published(FAR_B, 2, 1, since=DONE),
            requests={Signature("t0", 2): ASKED},
        ),
        None,
        Phase.SWITCH,
        several(2),
    ),
    "a bundle needs nobody's signature": Row(
        observed([FAR, replace(FAR_B, state=PREPARED)], published(FAR, 1, since=DONE)),
        WriteCA("istio", 1, (2, 1), issue=False),
        Phase.PREPARE,
    ),
}

TABLE = joined(BIRTH, INTERMEDIATES, ROTATION, REPAIR, LOSS, EXPIRY, IMPORT, REMOTE)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_one_situation_has_one_next_step(row: Row) -> None:
    decided = plan(row.spec, row.observed, NOW)
    assert (decided.step.action if decided.step else None) == row.action
    stalled = {each.reason for each in decided.obstacles}
    assert stalled == set(row.stalled)
    assert phase(situate(row.spec, row.observed, NOW)) == row.phase


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
def test_where_nothing_is_due_and_nobody_is_asked_something_has_a_date(row: Row) -> None:
    decided = plan(row.spec, row.observed, NOW)
    if decided.step is None and not row.stalled:
        assert any(wait.until is not None and wait.until > NOW for wait in decided.waits)


def test_who_waits_for_a_signature_is_told_when_it_is_asked_for_again() -> None:
    waits = plan(spec(), observed([FAR], Absent(), requests={ISTIO_1: ASKED}), NOW).waits
    assert [each.until for each in waits if each.reason is Found.WAITING_FOR_SIGNATURE] == [NOW + DAY]


def test_under_a_spec_that_makes_no_sense_people_hear_of_a_target_of_anothers_too() -> None:
    told = plan(replace(DEFAULTS, partial=SpecError("spec.odd", "is odd")), observed([A], FOREIGN), NOW).obstacles
    assert [each.reason for each in told] == [Found.INVALID_SPEC, Found.FOREIGN_SECRET]


def test_a_held_rotation_says_what_to_set_and_by_when() -> None:
    ends = NOW + timedelta(days=100)
    old = root(1, SOLE, ends=ends)
    (hold,) = plan(spec(), observed([old], published(old, 1), reload=IGNORES), NOW).obstacles
    assert hold.message == (
        "the rotation is held (root 1 ends at 2026-04-11T12:00:00Z): istiod would ignore the new root;"
        " do it by 2026-04-09T11:39:56Z: a rotation takes 48h20m, and root 1 ends at 2026-04-11T12:00:00Z"
    )


def test_a_rotation_that_a_target_of_anothers_holds_says_so_and_by_when() -> None:
    held = plan(several(2), observed([OLD], published(OLD, 1), FOREIGN), NOW).obstacles
    assert (
        "the rotation is held (root 1 ends at 2027-01-01T12:00:00Z): target t1 would miss it (not ours);"
        " do it by 2026-12-30T11:39:56Z: a rotation takes 48h20m, and root 1 ends at 2027-01-01T12:00:00Z"
    ) in [each.message for each in held]


def test_a_deadline_that_is_over_is_not_named_as_one_to_meet() -> None:
    ending = root(1, SOLE, ends=NOW + DAY)
    (hold,) = plan(spec(), observed([ending], published(A, 1), reload=IGNORES), NOW).obstacles
    assert (
        "a safe rotation takes 48h20m and can no longer end before root 1 does (2026-01-02T12:00:00Z)" in hold.message
    )


TOMORROW, IN_50_YEARS = "2026-01-02T12:00:00Z", "2076-01-01T12:00:00Z"
NEXT_DATES: dict[str, tuple[MeshCASpec, Reason, str]] = {
    "the next renewal": (DEFAULTS, Done.INTERMEDIATE_RENEWED, "2026-02-10T12:00:00Z"),
    "a renewal that is asked for": (
        spec(intermediate={"issuedAfter": TOMORROW}),
        Done.INTERMEDIATE_RENEWED,
        TOMORROW,
    ),
    "a renewal that was asked for": (
        spec(intermediate={"issuedAfter": "2025-06-01T12:00:00Z"}),
        Done.INTERMEDIATE_RENEWED,
        "2026-02-10T12:00:00Z",
    ),
    "the next root": (DEFAULTS, Done.ROTATION_STARTED, "2033-09-21T12:00:00Z"),
    "a root that is asked for": (spec(root={"issuedAfter": TOMORROW}), Done.ROTATION_STARTED, TOMORROW),
    "a root that is asked for after the end of this one": (
        spec(root={"issuedAfter": IN_50_YEARS}),
        Done.ROTATION_STARTED,
        "2033-09-21T12:00:00Z",
    ),
}


@pytest.mark.parametrize(("wanted", "reason", "date"), NEXT_DATES.values(), ids=NEXT_DATES.keys())
def test_what_comes_next_has_its_date(wanted: MeshCASpec, reason: Reason, date: str) -> None:
    (hold,) = [each for each in plan(wanted, observed([A], published(A, 1)), NOW).waits if each.reason is reason]
    assert hold.until is not None
    assert when(hold.until) == date


def test_istiods_are_asked_only_when_it_matters() -> None:
    assert asked([A], published(A, 1)) == (set(), None)
    assert asked([], Absent()) == (set(), CreateRoot(1, SOLE))


def test_no_gate_is_passed_before_istiods_have_answered() -> None:
    assert asked([OLD], published(OLD, 1)) == ({AskReload("istio")}, None)
    assert asked([A, root(2, PREPARED)], published(A, 2, 1)) == ({AskReload("istio")}, None)
    assert asked([A, B], published(B, 2)) == ({AskReload("istio")}, None)


def asked(roots: list[Root], target: TargetState) -> tuple[set[Ask], Action | None]:
    """Return whom a plan would ask, and what it would do, while nobody has answered."""
    decided = plan(spec(), replace(observed(roots, target), answers={}), NOW)
    return set(decided.asks), decided.step and decided.step.action


UNLOVED = {
    "given_warnings": ("the root is odd",),
    "not_for_ztunnel": "has a unique identifier: ztunnel drops such a root",
}


def test_a_root_that_ztunnel_refuses_holds_a_rotation_where_there_are_ztunnels() -> None:
    wanted = spec(root={"source": {"secret": {"name": "mine"}}})
    old, new = root(1, SOLE, given=True), root(2).certificate
    ambient, plain = replace(LOADS, ambient=True), LOADS
    held = plan(wanted, observed([old], published(old, 1), reload=ambient, given=new, **UNLOVED), NOW)
    free = plan(wanted, observed([old], published(old, 1), reload=plain, given=new, **UNLOVED), NOW)
    assert held.step is None
    (hold,) = held.obstacles
    assert hold.reason is Unfit.ROOT_NOT_FOR_ZTUNNEL
    assert (
        "has a unique identifier: ztunnel drops such a root, and there are ambient workloads; give another"
        in hold.message
    )
    assert free.step is not None
    assert free.step.reason is Done.ROTATION_STARTED


MINE = root(2).certificate
OLD_GIVEN = root(1, SOLE, given=True)


def test_a_root_that_ztunnels_take_does_not_wait_because_the_next_one_is_refused() -> None:
    seen = observed(
        [A, root(2, PREPARED)],
        published(A, 2, 1, since=DONE),
        reload=replace(LOADS, ambient=True),
        given=root(9, name="odd").certificate,
        **UNLOVED,
    )
    step = plan(spec(root=GIVEN), seen, NOW).step
    assert step is not None
    assert step.action == MarkRoot(2, ACTIVE)


def test_a_bundle_whose_write_is_refused_is_left_behind_when_the_root_would_end() -> None:
    refused = Obstacle(Found.QUOTA_EXCEEDED, "refused")
    for last, goes_on in ((LAST, True), (NOT_YET, False)):
        targets = published(last, 2, 1, since=DONE, ends=last.certificate.not_after)
        seen = observed([last, root(2, PREPARED)], targets).with_target(BUNDLE, Absent())
        decided = plan(WITH_BUNDLE, seen, NOW, NOTHING_ASIDE.with_action(WriteBundle(BUNDLE, (2, 1)), refused))
        assert (decided.step is not None) == goes_on
        assert refused in decided.holds


ZTUNNELS = {
    "before a mesh's first root is imported": observed([], Absent(), given=MINE, **UNLOVED),
    "before a rotation to it": observed([OLD_GIVEN], published(OLD_GIVEN, 1), given=MINE, **UNLOVED),
    "when they came while the root was only trusted": observed(
        [OLD_GIVEN, root(2, PREPARED, given=True)], published(OLD_GIVEN, 2, 1), given=MINE, **UNLOVED
    ),
}


@pytest.mark.parametrize("word", ["Detect", "Live"])
@pytest.mark.parametrize("seen", ZTUNNELS.values(), ids=ZTUNNELS.keys())
def test_nothing_is_signed_that_ztunnels_refuse(seen: Observed, word: str) -> None:
    target = {"name": "istio", "istio": {"namespace": "istio-system", "rootReload": word}}
    wanted = spec(root={"source": {"secret": {"name": "mine"}}}, targets=[target])
    assert plan(wanted, replace(seen, answers={}), NOW).asks == {AskReload("istio")}, "so they are looked for"
    without, with_them = (
        plan(wanted, replace(seen, answers={AskReload("istio"): replace(LOADS, ambient=ambient)}), NOW)
        for ambient in (False, True)
    )
    assert without.step is not None
    assert with_them.step is None
    assert Unfit.ROOT_NOT_FOR_ZTUNNEL in {each.reason for each in with_them.obstacles}
