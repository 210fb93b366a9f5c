"""A ConfigMap as a kind of target: the trust bundle alone, for people and for tools outside the mesh."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from meshca.cluster import metadata
from meshca.cluster.objects import join_revisions
from meshca.core.fields import Fields
from meshca.core.model import Absent, Blocked, Listed, Root, TargetState
from meshca.core.situation import newest_first
from meshca.core.spec import SUBDOMAIN, TargetSpec
from meshca.errors import PKIError
from meshca.pki import certs
from meshca.pki.certs import Certificate
from meshca.targets.port import Against, Content, TargetKind
from meshca.words.names import ANNOTATION_REVISIONS, LABEL_MESHCA, ROOT_CERT
from meshca.words.reasons import Found
from meshca.words.ref import CONFIG_MAPS, Ref

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ConfigMapTarget(TargetSpec):
    """`spec.trustBundle.configMap`: a ConfigMap in the operator's namespace."""

    issues: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """As in a sentence."""
        return self.name


def parse(fields: Fields, meshca: str) -> ConfigMapTarget:
    """Read `spec.trustBundle` where it asks for a ConfigMap."""
    default = f"{meshca}-trust-bundle"
    name = fields.sub("configMap", ("name",)).matching("name", default, SUBDOMAIN, 253, "mesh-trust-bundle")
    return ConfigMapTarget(name=f"ConfigMap {name}", ref=Ref("", name, CONFIG_MAPS))


class ConfigMap(TargetKind[ConfigMapTarget]):
    """A ConfigMap with the roots under `root-cert.pem`."""

    def read(self, target: ConfigMapTarget, found: Json | None, against: Against) -> TargetState:
        """Tell what the ConfigMap is."""
        if found is None:
            return Absent()
        ref = target.ref.within(against.owner.namespace)
        return _claim(ref, found, against) or _listed(found, against)

    def manifest(self, target: ConfigMapTarget, content: Content) -> Json:
        """Write the ConfigMap."""
        annotations = _annotations(root.revision for root in content.bundle)
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": content.owner.metadata(target.ref, annotations, owned=content.owned),
            "data": {ROOT_CERT: _file(content.bundle).decode("ascii")},
        }


def _claim(ref: Ref, found: Json, against: Against) -> Blocked | None:
    """Say who else writes a ConfigMap; None when nobody does."""
    meta, owner = found["metadata"], against.owner
    claimant = str((meta.get("labels") or {}).get(LABEL_MESHCA, owner.name))
    if claimant != owner.name:
        return Blocked(Found.TARGET_CLAIMED, f"{ref} {_claimed(claimant, gone=against.wants(claimant, ref) is None)}")
    if metadata.our_apply(meta) is None and not _is_restored(found, against):
        by = metadata.writer_of(meta)
        message = f"{ref} was made by {by}, not by this MeshCA, and is left alone; remove it if nobody needs it,"
        return Blocked(Found.FOREIGN_CONFIG_MAP, f"{message} or give spec.trustBundle.configMap.name another name")
    return None


def _claimed(claimant: str, *, gone: bool) -> str:
    rename = "give spec.trustBundle.configMap.name another name"
    if not gone:
        return f"belongs to MeshCA {claimant}; {rename}"
    return f"belongs to MeshCA {claimant}, which does not exist any more; delete it if nobody reads it, or {rename}"


def _is_restored(found: Json, against: Against) -> bool:
    """Tell whether it is ours though others wrote it, as backup tools do: our label, and roots of ours alone."""
    if LABEL_MESHCA not in (found["metadata"].get("labels") or {}):
        return False
    known = {root.certificate.fingerprint for root in against.roots}
    roots = _certificates(found)
    return bool(roots) and all(
        each.fingerprint in known or certs.root_revision(each, against.owner.name) is not None for each in roots
    )


def _listed(found: Json, against: Against) -> Listed:
    meta, by_pem = found["metadata"], {root.certificate.pem: root for root in against.roots}
    pems = _pems(found)
    known = [by_pem[pem] for pem in pems if pem in by_pem]
    revisions = tuple(root.revision for root in known)
    written_at = metadata.data_written_at(found, against.now)
    return Listed(
        bundle=revisions,
        intact=0 < len(known) == len(pems) and _text(found) == _file(known) and revisions == newest_first(revisions),
        written_at=written_at,
        bundle_since=written_at,
        owned=against.owner.owns(meta),
        editor=metadata.editor(found, (ROOT_CERT,)),
        wrong=(
            *metadata.differences(meta, "labels", against.owner.labels()),
            *metadata.differences(meta, "annotations", _annotations(revisions)),
        ),
        immutable=found.get("immutable") is True,
        strays=metadata.strays(against.owner.uid, found),
    )


def _pems(found: Json) -> list[bytes]:
    """Return every certificate in canonical form; none when it is no bundle."""
    return [each.pem for each in _certificates(found)]


def _certificates(found: Json) -> Sequence[Certificate]:
    try:
        return certs.parse_bundle(_text(found))
    except PKIError:
        return ()


def _text(found: Json) -> bytes:
    return str((found.get("data") or {}).get(ROOT_CERT, "")).encode(errors="replace")


def _file(roots: Sequence[Root]) -> bytes:
    return b"".join(root.certificate.pem for root in roots)


def _annotations(revisions: Iterable[int]) -> dict[str, str]:
    return {ANNOTATION_REVISIONS: join_revisions(revisions)}
