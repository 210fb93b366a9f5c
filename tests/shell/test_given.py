"""A given root is judged once for each content; only its dates are looked at on every pass."""

from datetime import timedelta

import pytest

from meshca.core.model import Root
from meshca.custody import given
from meshca.custody.given import Judge, Mesh
from meshca.custody.secret import beside
from meshca.errors import PKIError
from meshca.pki.certs import KeyPair
from meshca.words.names import RootState
from meshca.words.reasons import Unfit
from tests.pki import factories
from tests.pki.factories import NOW, Made

WHERE = "Secret meshca-system/my-root"
MESH = Mesh(("istiod.istio-system.svc",), "cluster.local", ())
ROOT = factories.root()


def data(made: Made) -> dict[str, bytes]:
    return {"tls.crt": made.pem, "tls.key": made.key_pem}


@pytest.fixture
def judged(monkeypatch) -> list[str]:
    """Count the judgements that were really made."""
    made: list[str] = []
    really = given.root.check_root

    def counted(*arguments: object, **named: object) -> KeyPair:
        made.append(str(named["where"]))
        return really(*arguments, **named)

    monkeypatch.setattr(given.root, "check_root", counted)
    return made


async def test_the_same_content_is_judged_once(judged):
    judge = Judge()

    first = await judge.judge(data(ROOT), MESH, NOW, WHERE)
    second = await judge.judge(data(ROOT), MESH, NOW + timedelta(days=1), WHERE)

    assert isinstance(first, KeyPair)
    assert second is first
    assert len(judged) == 1


async def test_a_refusal_is_remembered_too(judged):
    judge, broken = Judge(), data(ROOT) | {"tls.key": b"junk"}

    for _ in range(3):
        verdict = await judge.judge(broken, MESH, NOW, WHERE)
        assert isinstance(verdict, PKIError)
        assert verdict.reason is Unfit.ROOT_UNREADABLE
    assert len(judged) == 1


CHANGES = {
    "another key": (data(ROOT) | {"tls.key": factories.root().key_pem}, MESH, WHERE),
    "another certificate": (data(factories.root(key=ROOT.key)), MESH, WHERE),
    "another trust domain": (data(ROOT), Mesh(("istiod.istio-system.svc",), "other.example", ()), WHERE),
    "another namespace": (data(ROOT), Mesh(("istiod.elsewhere.svc",), "cluster.local", ()), WHERE),
    "another place": (data(ROOT), MESH, "Secret meshca-system/other"),
}


@pytest.mark.parametrize(("content", "mesh", "where"), CHANGES.values(), ids=CHANGES.keys())
async def test_it_is_judged_again_with(content, mesh, where, judged):
    judge = Judge()
    await judge.judge(data(ROOT), MESH, NOW, WHERE)

    await judge.judge(content, mesh, NOW, where)

    assert len(judged) == 2


async def test_dates_are_looked_at_on_every_pass():
    judge, late = Judge(), data(factories.root(not_before=NOW + timedelta(hours=1)))
    verdicts = [await judge.judge(late, MESH, NOW + timedelta(hours=hours), WHERE) for hours in (0, 2, 24 * 366, 2)]

    reasons = [verdict.reason if isinstance(verdict, PKIError) else None for verdict in verdicts]
    assert reasons == [Unfit.ROOT_NOT_YET_VALID, None, Unfit.ROOT_EXPIRED, None]


async def test_a_fault_of_ours_in_the_judgement_refuses_the_root_and_stops_nothing_else(caplog):
    naive = NOW.replace(tzinfo=None)  # which nothing can be compared with

    verdict = await Judge().judge(data(ROOT), MESH, naive, WHERE)

    assert isinstance(verdict, PKIError)
    assert verdict.reason is Unfit.ROOT_UNREADABLE
    assert verdict.message.startswith(f"{WHERE}: the root cannot be judged: an unexpected TypeError")
    assert "Traceback" not in caplog.text
    assert "in check_root" in caplog.text


async def test_only_the_last_few_verdicts_are_kept():
    judge = Judge()

    for at in range(given.MOST_REMEMBERED + 3):
        await judge.judge({"tls.crt": b"%d" % at, "tls.key": b"x"}, MESH, NOW, WHERE)

    assert len(judge._verdicts) == given.MOST_REMEMBERED
    assert ROOT.key_pem.decode() not in repr(judge)


ONE, TWO, THREE = (factories.root().certificate for _ in range(3))


def root(revision, certificate, state=None):
    return Root(revision=revision, certificate=certificate, state=state)


OTHERS = {
    "all that sign or did": ([root(1, ONE, RootState.SOLE), root(2, TWO, RootState.ACTIVE)], (TWO, ONE)),
    "none that was given up": ([root(1, ONE, RootState.SOLE), root(2, TWO, RootState.ABANDONED)], (ONE,)),
    "each once, also one that was given up and given again": (
        [root(1, ONE, RootState.SOLE), root(2, TWO, RootState.ABANDONED), root(3, TWO, RootState.ACTIVE)],
        (TWO, ONE),
    ),
    "each once, also one whose Secret was copied": (
        [root(1, ONE, RootState.SOLE), root(2, TWO), root(9, ONE, RootState.SOLE), root(3, THREE)],
        (ONE, THREE, TWO),
    ),
}


@pytest.mark.parametrize(("roots", "expected"), OTHERS.values(), ids=OTHERS.keys())
def test_a_given_root_is_rehearsed_beside(roots, expected):
    assert beside(roots) == expected
