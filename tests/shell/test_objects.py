"""Whose Secret it is, and what is left of it: the proof that nothing of a stranger's is ever written."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meshca.cluster import objects
from meshca.cluster.objects import Owner
from meshca.core.model import Absent, Blocked, Damaged, Listed, Published, Root, TargetState
from meshca.flow.snapshot import read_root
from meshca.pki.cacerts import Cacerts, encode
from meshca.pki.certs import KeyPair
from meshca.pki.issue import make_intermediate, make_root
from meshca.pki.keys import Algorithm, KeySpec
from meshca.targets.config_map import ConfigMapTarget
from meshca.targets.istio.kind import IstioTarget
from meshca.targets.port import SINCE_NOW, Against, Content, Stamps
from meshca.targets.table import kind_of
from meshca.words.names import ANNOTATION_HOME, LABEL_MESHCA, LABEL_REVISION, LABEL_STATE, RootState
from meshca.words.reasons import Found, Reason
from meshca.words.ref import CONFIG_MAPS, Ref
from tests.pki import layouts

P256 = KeySpec(Algorithm.ECDSA, 256)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WRITTEN = datetime(2026, 1, 1, 11, tzinfo=UTC)
SINCE = datetime(2025, 12, 1, tzinfo=UTC)
OWNER = Owner("mesh", "uid-1", "meshca-system")
TARGET = IstioTarget(name="istio", ref=Ref("istio-system", "cacerts"), asks=True)
BUNDLE = ConfigMapTarget(name="ConfigMap bundle", ref=Ref("", "bundle", CONFIG_MAPS))

Secret = dict[str, Any]


def new_root(revision: int, meshca: str = "mesh") -> KeyPair:
    """Return a root of ten years."""
    days = timedelta(days=3650)
    return make_root(meshca=meshca, revision=revision, organization="o", key=P256, now=SINCE, duration=days)


def new_intermediate(root: KeyPair) -> KeyPair:
    """Return an intermediate of 90 days."""
    return make_intermediate(
        root, meshca="mesh", target="istio", organization="o", key=P256, now=SINCE, duration=timedelta(days=90)
    )


PAIR, NEXT, STRANGER = new_root(1), new_root(2), new_root(1, "other")
INTERMEDIATE = new_intermediate(PAIR)
ROOT = Root(revision=1, certificate=PAIR.certificate, state=RootState.SOLE)
ROOT_2 = Root(revision=2, certificate=NEXT.certificate, state=RootState.PREPARED)


def as_stored(secret: Secret, manager: str = "meshca", operation: str = "Apply") -> Secret:
    """Return an object as the API server answers it: all its fields are this manager's."""
    metadata = {each: named(secret["metadata"].get(each) or {}) for each in ("labels", "annotations")}
    fields = {"f:data": named(secret["data"]), "f:metadata": named(metadata)}
    record = {"manager": manager, "operation": operation, "time": "2026-01-01T11:00:00Z", "fieldsV1": fields}
    secret["metadata"]["managedFields"] = [record]
    return secret


def named(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields as managedFields have them."""
    return {f"f:{name}": inner if isinstance(inner, dict) else {} for name, inner in fields.items()}


def ours(bundle: tuple[KeyPair, ...] = (PAIR,), stamps: Stamps | None = None) -> Secret:
    """Return a target's Secret as we write it."""
    revisions = [2, 1] if len(bundle) > 1 else [1]
    numbered = zip(revisions, bundle, strict=True)
    content = Content(
        owner=OWNER,
        bundle=[Root(revision=each, certificate=pair.certificate) for each, pair in numbered],
        signer=INTERMEDIATE,
        stamps=stamps or Stamps(bundle_since=SINCE, signer_since=None),
        owned=False,
        current=None,
    )
    return as_stored(kind_of(TARGET).manifest(TARGET, content))


def with_data(secret: Secret, **changes: bytes | None) -> Secret:
    """Return the same with some files changed (None: removed); a `__` in a name stands for its dash."""
    for key, value in changes.items():
        name = key.replace("__", "-").replace("_pem", ".pem")
        secret["data"].pop(name, None)
        if value is not None:
            secret["data"][name] = b64encode(value).decode()
    return secret


def with_metadata(secret: Secret, **changes: Any) -> Secret:
    """Return the same with some metadata replaced."""
    secret["metadata"] |= changes
    return secret


def lost_roots(secret: Secret, roots: list[Root]) -> list[Root]:
    return kind_of(TARGET).lost_roots(secret, Against(OWNER, roots, NOW))


def foreign(root: KeyPair = STRANGER) -> Secret:
    """Return a whole CA that somebody else made, by kubectl."""
    intermediate = new_intermediate(root)
    data = encode(Cacerts(intermediate, (root.certificate,)))
    secret = {"metadata": {"name": "cacerts", "namespace": "istio-system"}, "type": "Opaque", "data": {}}
    secret["data"] = {name: b64encode(value).decode() for name, value in data.items()}
    return as_stored(secret, "kubectl-create", "Update")


def replaced() -> Secret:
    """Return ours after somebody put a whole other CA over the four files."""
    return ours() | {"data": foreign()["data"]}


def read(secret: Secret | None, *roots: Root) -> TargetState:
    """Read a target's Secret."""
    return kind_of(TARGET).read(TARGET, secret, Against(OWNER, roots or (ROOT,), NOW))


def holding(files: Mapping[str, bytes]) -> Secret:
    """Return ours after somebody put these files over it: the API server has them on record as theirs."""
    secret = ours()
    stored = {name: b64encode(text).decode() for name, text in files.items()}
    (record,) = secret["metadata"]["managedFields"]
    record["fieldsV1"]["f:data"] = named({n: {} for n in stored if stored[n] == secret["data"].get(n)})
    return secret | {"data": stored}


LABELS = {LABEL_MESHCA: "mesh", "app.kubernetes.io/managed-by": "meshca"}

NEVER_TOUCHED: dict[str, tuple[Callable[[], Secret], Reason, str]] = {
    "a CA that somebody else made": (foreign, Found.FOREIGN_SECRET, "was not made by this MeshCA"),
    "somebody else's, with our labels copied by hand": (
        lambda: with_metadata(foreign(), labels=LABELS),
        Found.FOREIGN_SECRET,
        "was not made by this MeshCA",
    ),
    "somebody else's, applied by our field manager without our label": (
        lambda: as_stored(foreign()),
        Found.FOREIGN_SECRET,
        "was not made by this MeshCA",
    ),
    "an empty Secret": (lambda: foreign() | {"data": None}, Found.FOREIGN_SECRET, "was not made by this MeshCA"),
    "one that istiod made itself": (
        lambda: with_data(foreign(), istio__generated=b""),
        Found.FOREIGN_SECRET,
        "belongs to istiod",
    ),
    "ours, but istiod has taken it over": (
        lambda: with_data(ours(), istio__generated=b""),
        Found.FOREIGN_SECRET,
        "belongs to istiod",
    ),
    "ours, with tls.crt, which istiod would prefer": (
        lambda: ours() | {"data": ours()["data"] | {"tls.crt": ""}},
        Found.FOREIGN_SECRET,
        "istiod prefers",
    ),
    "of type kubernetes.io/tls": (
        lambda: foreign() | {"type": "kubernetes.io/tls"},
        Found.FOREIGN_SECRET,
        "istiod prefers",
    ),
    "ours, with a whole other CA put over it": (
        replaced,
        Found.FOREIGN_SECRET,
        "now holds a CA that this MeshCA did not make",
    ),
    "another MeshCA's": (
        lambda: with_metadata(ours(), labels={LABEL_MESHCA: "other"}),
        Found.TARGET_CLAIMED,
        "belongs to MeshCA other",
    ),
    "another installation's": (
        lambda: with_metadata(ours(), annotations={ANNOTATION_HOME: "elsewhere"}),
        Found.TARGET_CLAIMED,
        "is written by the operator in namespace elsewhere",
    ),
}


@pytest.mark.parametrize(("make", "reason", "words"), NEVER_TOUCHED.values(), ids=NEVER_TOUCHED.keys())
def test_never_touched(make: Callable[[], Secret], reason: Reason, words: str) -> None:
    state = read(make())
    assert isinstance(state, Blocked)
    assert state.reason == reason
    assert words in state.message
    assert "Secret istio-system/cacerts" in state.message


def labelled_other() -> Secret:
    return with_metadata(ours(), labels={LABEL_MESHCA: "other"})


LEFT: dict[str, tuple[bool | None, Root, str | None]] = {
    "under our root": (False, ROOT, None),
    "under our root, and the other MeshCA is gone": (None, ROOT, None),
    "under our root, but the other MeshCA still names it": (True, ROOT, "let one of the two name another one"),
    "under no root of ours": (False, ROOT_2, "which does not name it, and workloads may trust its roots"),
    "under no root of ours, and the other MeshCA is gone": (None, ROOT_2, "which does not exist any more"),
}


@pytest.mark.parametrize(("wanted", "root", "words"), LEFT.values(), ids=LEFT.keys())
def test_what_has_another_mesh_cas_label_is_taken_over_only_if_that_let_it_go_and_its_root_is_here(
    wanted: bool | None,
    root: Root,
    words: str | None,
) -> None:
    state = kind_of(TARGET).read(TARGET, labelled_other(), Against(OWNER, [root], NOW, lambda *_: wanted))
    assert isinstance(state, Published if words is None else Blocked)
    assert isinstance(state, Published) or str(words) in state.message


@pytest.mark.parametrize("layout", layouts.THEIRS.values(), ids=layouts.THEIRS.keys())
def test_another_ca_in_our_secret_is_never_touched_whatever_its_layout(layout: layouts.Layout) -> None:
    state = read(holding(layout.files))
    assert isinstance(state, Blocked)
    assert state.reason is Found.FOREIGN_SECRET


def test_it_is_told_whether_istiod_would_start_with_another_ca() -> None:
    sound, expired = (layouts.THEIRS[name] for name in ("sound", "expired"))
    for layout, words in ((sound, "istiod would start with it"), (expired, "istiod would not start with it")):
        secret = holding(layout.files)
        state = kind_of(TARGET).read(TARGET, secret, Against(OWNER, (ROOT,), layouts.NOW))
        assert isinstance(state, Blocked)
        assert words in state.message


HARMFUL = ("move it away", "delete the secret", "rename the secret", "delete it", "restart istiod")


@pytest.mark.parametrize(("make", "reason", "words"), NEVER_TOUCHED.values(), ids=NEVER_TOUCHED.keys())
def test_what_puts_an_unrelated_ca_in_its_place_is_never_advised(
    make: Callable[[], Secret], reason: Reason, words: str
) -> None:
    state = read(make())
    assert isinstance(state, Blocked), (reason, words)
    sentences = [each.lower() for each in re.split(r"[.;] ", state.message)]
    assert not [each for each in sentences for harm in HARMFUL if harm in each and "do not " not in each]


def test_no_secret_is_absent() -> None:
    assert read(None) == Absent()


def test_what_we_write_is_read_back_whole() -> None:
    state = read(ours((NEXT, PAIR)), ROOT, ROOT_2)
    assert state == Published(
        intermediate=INTERMEDIATE.certificate,
        bundle=(2, 1),
        intact=True,
        written_at=WRITTEN,
        bundle_since=SINCE,
        signer_since=WRITTEN,
    )


SOUND = INTERMEDIATE.certificate.pem
DAMAGED: dict[str, tuple[Callable[[], Secret], bool, tuple[int, ...]]] = {
    "a chain of garbage: the intermediate is kept": (lambda: with_data(ours(), cert__chain_pem=b"x"), True, (1,)),
    "no chain": (lambda: with_data(ours(), cert__chain_pem=None), True, (1,)),
    "a chain with the root behind it": (
        lambda: with_data(ours(), cert__chain_pem=SOUND + PAIR.certificate.pem),
        True,
        (1,),
    ),
    "a bundle of garbage": (lambda: with_data(ours(), root__cert_pem=b"x"), True, ()),
    "a bundle with a stranger in it": (
        lambda: with_data(ours(), root__cert_pem=PAIR.certificate.pem + STRANGER.certificate.pem),
        True,
        (1,),
    ),
    "a key of garbage: the intermediate is lost": (lambda: with_data(ours(), ca__key_pem=b"x"), False, (1,)),
    "no key": (lambda: with_data(ours(), ca__key_pem=None), False, (1,)),
    "somebody else's key": (lambda: with_data(ours(), ca__key_pem=STRANGER.key_pem), False, (1,)),
    "a certificate of garbage": (lambda: with_data(ours(), ca__cert_pem=b"x"), False, (1,)),
    "somebody else's certificate": (lambda: with_data(ours(), ca__cert_pem=STRANGER.certificate.pem), False, (1,)),
    "no data at all": (lambda: ours() | {"data": None}, False, ()),
    "data that is not base64": (lambda: ours() | {"data": {"ca-cert.pem": "%"}}, False, ()),
    "nothing but our key": (
        lambda: holding({"ca-key.pem": INTERMEDIATE.key_pem}),
        False,
        (),
    ),
    "our key twice": (lambda: with_data(ours(), ca__key_pem=INTERMEDIATE.key_pem * 2), False, (1,)),
    "our root behind our certificate": (
        lambda: with_data(ours(), ca__cert_pem=SOUND + PAIR.certificate.pem),
        False,
        (1,),
    ),
    "no annotations": (lambda: with_metadata(ours(), annotations=None), True, (1,)),
    "no labels": (lambda: with_metadata(ours(), labels=None), True, (1,)),
    "restored from a backup, which keeps no field managers": (
        lambda: with_metadata(ours(), managedFields=None),
        True,
        (1,),
    ),
}


@pytest.mark.parametrize(("make", "keeps", "bundle"), DAMAGED.values(), ids=DAMAGED.keys())
def test_ours_but_damaged(make: Callable[[], Secret], keeps: bool, bundle: tuple[int, ...]) -> None:
    state = read(make())
    assert isinstance(state, Published | Damaged)
    assert not state.intact or state.wrong
    assert isinstance(state, Published) == keeps
    assert state.bundle == bundle


def test_roots_in_the_wrong_order_are_put_right() -> None:
    state = read(ours((PAIR, NEXT)), ROOT, ROOT_2)
    assert isinstance(state, Published)
    assert (state.bundle, state.intact) == ((1, 2), False)


def test_what_carries_no_stamp_of_ours_is_as_young_as_can_be() -> None:
    state = read(with_metadata(ours(), managedFields=None, annotations=None))
    assert isinstance(state, Published)
    assert (state.written_at, state.bundle_since, state.signer_since) == (NOW, NOW, NOW)


def test_a_lost_root_is_seen_in_the_bundle_that_still_holds_it() -> None:
    (lost,) = lost_roots(ours((NEXT, PAIR)), [ROOT_2])
    assert (lost.revision, lost.certificate, lost.has_key) == (1, PAIR.certificate, False)
    assert lost_roots(ours((NEXT, PAIR)), [ROOT, ROOT_2]) == []


def test_a_lost_root_is_told_by_its_name_when_the_annotation_is_gone_too() -> None:
    (lost,) = lost_roots(with_metadata(ours(), annotations=None), [])
    assert lost.revision == 1


def test_no_root_is_taken_from_a_secret_that_is_not_ours() -> None:
    assert lost_roots(foreign(PAIR), []) == []


def older(root: KeyPair = PAIR, **changes: Any) -> Secret:
    """Return our Secret of long ago, as a backup tool creates it anew."""
    content = Content(
        owner=OWNER,
        bundle=[Root(revision=1, certificate=root.certificate)],
        signer=new_intermediate(root),
        stamps=Stamps(bundle_since=SINCE, signer_since=None),
        owned=False,
        current=None,
    )
    written = kind_of(TARGET).manifest(TARGET, content)
    return with_metadata(as_stored(written, "velero", "Update"), **changes)


SUCCESSOR = replace(ROOT_2, state=RootState.SOLE, replaces=(PAIR.certificate.fingerprint,))


def test_an_old_secret_that_was_created_anew_is_known_by_the_root_that_ours_replaced() -> None:
    (lost,) = lost_roots(older(), [SUCCESSOR])
    state = read(older(), SUCCESSOR, lost)
    assert (lost.revision, lost.has_key) == (1, False)
    assert isinstance(state, Published)
    assert (state.bundle, state.editor) == ((1,), "velero")


NOT_OLDER: dict[str, tuple[Secret, Root]] = {
    "its root is not one that ours replaced": (older(STRANGER), SUCCESSOR),
    "our root knows of none before it": (older(), replace(SUCCESSOR, replaces=())),
    "it has not our label": (older(labels={}), SUCCESSOR),
    "only the root is ours, not who signs": (older() | {"data": older(STRANGER)["data"] | {
        "root-cert.pem": older()["data"]["root-cert.pem"]}}, SUCCESSOR),
}  # fmt: skip


@pytest.mark.parametrize(("secret", "root"), NOT_OLDER.values(), ids=NOT_OLDER.keys())
def test_it_stays_somebodys_when(secret: Secret, root: Root) -> None:
    assert lost_roots(secret, [root]) == []
    assert isinstance(read(secret, root), Blocked)


def test_a_root_knows_the_last_roots_before_it_and_those_before_them() -> None:
    many = tuple(f"{number:064x}" for number in range(objects.MOST_REPLACED))
    before = [replace(ROOT, replaces=many), replace(ROOT_2, replaces=(*many[1:], ROOT.certificate.fingerprint))]
    secret = objects.root_secret(OWNER, 3, RootState.PREPARED, PAIR, source="generated", owned=False, before=before)
    root = objects.read_root(OWNER, secret)
    assert root is not None
    assert root.replaces == (*many[2:], PAIR.certificate.fingerprint, NEXT.certificate.fingerprint)


def test_a_root_is_read_back_from_its_secret() -> None:
    secret = objects.root_secret(OWNER, 1, RootState.PREPARED, PAIR, source="secret", owned=True)
    assert secret["immutable"] is True
    assert read_root(OWNER, secret) == Root(
        revision=1, certificate=PAIR.certificate, state=RootState.PREPARED, source="secret", given=True, owned=True
    )
    assert objects.root_pair(secret) == PAIR


NO_ROOT: dict[str, Callable[[Secret], Secret]] = {
    "no revision": lambda secret: with_metadata(secret, labels={LABEL_MESHCA: "mesh"}),
    "a revision that is no number": lambda secret: with_metadata(secret, labels={LABEL_REVISION: "one"}),
    "a name that is not a root's": lambda secret: with_metadata(secret, name="mesh-root-2"),
    "no certificate": lambda secret: secret | {"data": {}},
}


@pytest.mark.parametrize("change", NO_ROOT.values(), ids=NO_ROOT.keys())
def test_no_root(change: Callable[[Secret], Secret]) -> None:
    secret = objects.root_secret(OWNER, 1, RootState.SOLE, PAIR, source="generated", owned=False)
    assert objects.read_root(OWNER, change(secret)) is None


KEYS: dict[str, tuple[dict[str, bytes], bool]] = {
    "its own": ({}, True),
    "another root's": ({"tls.key": NEXT.key_pem}, False),
    "damaged": ({"tls.key": PAIR.key_pem[:40]}, False),
    "none": ({"tls.key": b""}, False),
}


@pytest.mark.parametrize(("data", "has_key"), KEYS.values(), ids=KEYS.keys())
def test_a_root_has_its_key_only_if_it_is_the_certificates(data: dict[str, bytes], has_key: bool) -> None:
    secret = objects.root_secret(OWNER, 1, RootState.SOLE, PAIR, source="generated", owned=False)
    root = objects.read_root(OWNER, secret | {"data": secret["data"] | objects.encode_data(data)})
    assert root is not None
    assert root.has_key is has_key


def test_a_root_that_was_made_for_another_mesh_ca_is_a_copy() -> None:
    secret = objects.root_secret(OWNER, 1, RootState.SOLE, PAIR, source="generated", owned=False)
    mine, theirs = objects.read_root(OWNER, secret), objects.read_root(Owner("mesh", "uid-2", "meshca-system"), secret)
    assert mine is not None
    assert theirs is not None
    assert (mine.is_copy, theirs.is_copy) == (False, True)


def test_a_state_that_nobody_knows_is_none() -> None:
    secret = objects.root_secret(OWNER, 1, RootState.SOLE, PAIR, source="generated", owned=False)
    secret["metadata"]["labels"][LABEL_STATE] = "tired"
    root = objects.read_root(OWNER, secret)
    assert root is not None
    assert root.state is None


def test_a_published_bundle_is_read_back() -> None:
    state = read_bundle(config_map())
    assert isinstance(state, Listed)
    assert (state.bundle, state.intact, state.wrong) == ((2, 1), True, ())
    assert read_bundle(None) == Absent()


def read_bundle(found: Secret | None) -> TargetState:
    """Read the public copy of a bundle."""
    return kind_of(BUNDLE).read(BUNDLE, found, Against(OWNER, [ROOT, ROOT_2], NOW))


def config_map() -> Secret:
    """Return the public copy of a bundle as we write it."""
    content = Content(owner=OWNER, bundle=[ROOT_2, ROOT], signer=None, stamps=SINCE_NOW, owned=False, current=None)
    return as_stored(kind_of(BUNDLE).manifest(BUNDLE, content))


NOT_AS_WRITTEN: dict[str, Callable[[], Secret]] = {
    "garbage": lambda: config_map() | {"data": {"root-cert.pem": "x"}},
    "no data": lambda: config_map() | {"data": None},
    "half of a character": lambda: config_map() | {"data": {"root-cert.pem": "\ud800"}},
    "a comment of somebody's": lambda: (
        config_map() | {"data": {"root-cert.pem": "# mine\n" + ROOT.certificate.pem.decode()}}
    ),
    "without our label": lambda: with_metadata(config_map(), labels=None),
    "without our annotation": lambda: with_metadata(config_map(), annotations=None),
}


def test_a_config_map_that_was_restored_is_ours_by_its_label_and_our_roots() -> None:
    restored = with_metadata(config_map(), managedFields=[])
    assert isinstance(read_bundle(restored), Listed)
    assert isinstance(read_bundle(as_stored(config_map(), "velero-server", "Update")), Listed)
    retired = kind_of(BUNDLE).read(BUNDLE, restored, Against(OWNER, [ROOT_2], NOW))
    assert isinstance(retired, Listed), "a root of ours that is no more is known by its name"
    assert isinstance(read_bundle(restored | {"data": {"root-cert.pem": STRANGER.certificate.pem.decode()}}), Blocked)
    assert isinstance(read_bundle(with_metadata(restored, labels=None)), Blocked)


def test_a_config_map_of_a_meshca_that_is_gone_is_told_of_as_such() -> None:
    orphan = with_metadata(config_map(), labels={LABEL_MESHCA: "other"})
    state = kind_of(BUNDLE).read(BUNDLE, orphan, Against(OWNER, [ROOT, ROOT_2], NOW, lambda *_: None))
    assert isinstance(state, Blocked)
    assert "does not exist any more" in state.message


@pytest.mark.parametrize("make", NOT_AS_WRITTEN.values(), ids=NOT_AS_WRITTEN.keys())
def test_a_config_map_of_ours_is_written_anew_when_it_holds(make: Callable[[], Secret]) -> None:
    state = read_bundle(make())
    assert isinstance(state, Listed)
    assert not state.intact or state.wrong


A_STRANGERS = {"root-cert.pem": STRANGER.certificate.pem.decode()}
LEFT_ALONE: dict[str, tuple[Callable[[], Secret], Reason]] = {
    "somebody else's": (
        lambda: as_stored(with_metadata(config_map(), labels=None), "other-tool", "Update"),
        Found.FOREIGN_CONFIG_MAP,
    ),
    "somebody else's, with our label and another root": (
        lambda: as_stored(config_map() | {"data": A_STRANGERS}, "other-tool", "Update"),
        Found.FOREIGN_CONFIG_MAP,
    ),
    "another MeshCA's": (
        lambda: with_metadata(config_map(), labels={LABEL_MESHCA: "other"}),
        Found.TARGET_CLAIMED,
    ),
}


@pytest.mark.parametrize(("make", "reason"), LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_a_config_map_is_left_alone_and_told_of_when_it_is(make: Callable[[], Secret], reason: Reason) -> None:
    state = read_bundle(make())
    assert isinstance(state, Blocked)
    assert state.reason is reason


def test_no_private_key_is_shown_by_what_holds_one() -> None:
    words = INTERMEDIATE.key_pem.decode().splitlines()[1]
    assert words not in repr(INTERMEDIATE)
    assert words not in repr(read(ours()))
