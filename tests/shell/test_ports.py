"""What every kind of target and of custody must answer: a new line in a table is held to all of this by itself."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from meshca.cluster import objects
from meshca.core.fields import Fields
from meshca.core.model import Absent, Blocked, Holding, Listed, Published, Root, TargetState
from meshca.core.questions import Pending
from meshca.core.spec import ReadTarget, SourceSpec, TargetSpec
from meshca.custody.port import RootRequest, SigningRequest
from meshca.custody.table import SOURCES, custody_of, holder_of
from meshca.pki.certs import Certificate
from meshca.pki.issue import answers, make_request
from meshca.targets.port import SINCE_NOW, Against, Content
from meshca.targets.table import BUNDLES, TARGETS, ca_kind_of, kind_of
from meshca.words.names import API_VERSION, KIND, LABEL_MESHCA, RootState
from tests.shell.test_objects import INTERMEDIATE, NEXT, NOW, OWNER, P256, PAIR, ROOT, ROOT_2, as_stored, with_metadata

Json = dict[str, Any]


REQUIRED: dict[str, Json] = {"secret": {"name": "mine"}}
"""What a kind of target or of custody cannot be asked for without, by its field; of most, nothing."""


def sample(field: str, read: ReadTarget) -> TargetSpec:
    """Return what a spec that says no more than it must asks for."""
    return read(Fields({field: REQUIRED.get(field, {})}, "spec", (field, "name")), "mesh")


KINDS = {field: sample(field, read) for field, read in (TARGETS | BUNDLES).items()}
every_kind = pytest.mark.parametrize("target", KINDS.values(), ids=KINDS.keys())


def written(target: TargetSpec, *bundle: Root) -> Json:
    """Return an object of this kind as the API server stores what we wrote."""
    content = Content(
        owner=OWNER,
        bundle=bundle or (ROOT,),
        signer=INTERMEDIATE if target.issues else None,
        stamps=SINCE_NOW,
        owned=False,
        current=None,
    )
    return as_stored(kind_of(target).manifest(target, content))


def read(target: TargetSpec, found: Json | None) -> TargetState:
    """Read an object of this kind."""
    return kind_of(target).read(target, found, Against(OWNER, [ROOT, ROOT_2], NOW))


@every_kind
def test_what_is_not_there_is_absent(target: TargetSpec) -> None:
    assert read(target, None) == Absent()


@every_kind
def test_what_was_written_is_read_back(target: TargetSpec) -> None:
    state = read(target, written(target, ROOT_2, ROOT))
    assert isinstance(state, Published if target.issues else Listed)
    assert (state.bundle, state.intact, state.wrong, state.strays) == ((2, 1), True, (), ())
    assert (state.owned, state.immutable, state.editor) == (False, False, None)


@every_kind
def test_it_is_written_where_its_reference_says(target: TargetSpec) -> None:
    ref, found = target.ref.within(OWNER.namespace), written(target)
    assert (found["kind"], found["metadata"]["namespace"], found["metadata"]["name"]) == (
        ref.kind,
        ref.namespace,
        ref.name,
    )


DEAD = {"apiVersion": API_VERSION, "kind": KIND, "name": "mesh", "uid": "gone", "controller": True}

CHANGED: dict[str, tuple[Callable[[Json], Json], Callable[[Holding], bool]]] = {
    "its data were taken away": (lambda found: found | {"data": {}}, lambda state: not state.intact),
    "its annotations were taken away": (
        lambda found: with_metadata(found, annotations=None),
        lambda state: bool(state.wrong),
    ),
    "it can never change again": (lambda found: found | {"immutable": True}, lambda state: state.immutable),
    "it names an owner that is gone": (
        lambda found: with_metadata(found, ownerReferences=[DEAD]),
        lambda state: bool(state.strays),
    ),
    "it is to be deleted with the MeshCA": (
        lambda found: with_metadata(found, ownerReferences=OWNER.references(owned=True)),
        lambda state: state.owned,
    ),
}


@every_kind
@pytest.mark.parametrize(("change", "is_seen"), CHANGED.values(), ids=CHANGED.keys())
def test_it_is_seen_that(
    target: TargetSpec, change: Callable[[Json], Json], is_seen: Callable[[Holding], bool]
) -> None:
    state = read(target, change(written(target)))
    assert isinstance(state, Holding)
    assert is_seen(state)


@every_kind
def test_another_mesh_cas_is_never_touched(target: TargetSpec) -> None:
    theirs = with_metadata(written(target), labels={LABEL_MESHCA: "other"})
    assert isinstance(read(target, theirs), Blocked)


@every_kind
def test_a_strangers_is_never_touched(target: TargetSpec) -> None:
    strange = {"metadata": {"name": "x", "namespace": "y"}, "data": {"x": "eA=="}}
    assert isinstance(read(target, as_stored(strange, "other-tool", "Update")), Blocked)


CAS = {name: target for name, target in KINDS.items() if target.issues}


@pytest.mark.parametrize("target", CAS.values(), ids=CAS.keys())
def test_what_signs_there_can_be_proven(target: TargetSpec) -> None:
    kind, found = ca_kind_of(target), written(target, ROOT_2, ROOT)
    assert kind.signer(found) == INTERMEDIATE
    assert kind.bundle(found) == (NEXT.certificate, PAIR.certificate)
    assert all(kind.server_names(target)), "a server has a name, where there is one"
    assert [root.revision for root in kind.lost_roots(found, Against(OWNER, [ROOT_2], NOW))] == [1]


NO_CLUSTER: Any = None
"""Who has the key asks nobody."""


def source(field: str) -> SourceSpec:
    """Return what a spec that names this kind of custody asks for."""
    return SOURCES[field](Fields({field: REQUIRED.get(field, {})}, "spec", (field,)), "mesh")


@pytest.mark.parametrize("field", SOURCES)
async def test_a_root_signs_by_whoever_holds_its_key(field: str) -> None:
    given = NEXT if source(field).ref is not None else None
    day = timedelta(days=1)
    request = RootRequest(meshca="mesh", revision=3, organization="o", key=P256, now=NOW, duration=10 * day)
    pair = await custody_of(source(field)).make(request, given)
    assert given is None or pair == given
    stored = objects.root_secret(OWNER, 3, RootState.SOLE, pair, source=field, owned=False)
    made = make_request(meshca="mesh", target="istio", organization="o", key=P256)
    ask = SigningRequest(csr=made.csr, now=NOW, duration=day)
    holder = holder_of(stored)
    intermediate = await holder.sign(NO_CLUSTER, stored, ask)
    if holder.is_remote and isinstance(intermediate, Pending):
        return  # tests/shell/test_requests.py has the rest of the way
    assert isinstance(intermediate, Certificate)
    assert Root(revision=3, certificate=pair.certificate).signed(intermediate)
    assert answers(intermediate, made.csr)
    assert intermediate.not_after == NOW + day
