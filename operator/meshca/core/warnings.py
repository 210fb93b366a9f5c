"""What works and is unwise, or may turn out badly: said in `status.warnings`, and by `meshca plan`."""

from meshca.core import schedule
from meshca.core.schedule import rotation_lasts
from meshca.core.situation import Situation, is_rotating
from meshca.core.spec import MeshCASpec
from meshca.errors import MeshCAError
from meshca.words.names import ANNOTATION_MADE_FOR, root_secret_name


def warnings(spec: MeshCASpec) -> list[str]:
    """Name what is legal but unwise in a spec, and what is made of it."""
    found = [
        f"{field} is unknown to this version of the operator, which does without it: the CRD is newer; upgrade the"
        " operator"
        for field in spec.unknown
    ]
    overlap = schedule.overlap(spec)
    if spec.intermediate.renew_before <= overlap:
        found.append(
            "spec.intermediate.renewBefore is shorter than workload.maxCertificateDuration + rotation.propagationDelay:"
            " intermediates are renewed that much earlier, so that no workload certificate outlives its issuer"
        )
    if spec.root.renew_before < rotation_lasts(spec):
        found.append(
            "spec.root.renewBefore is shorter than a whole rotation (2 x workload.maxCertificateDuration"
            " + 4 x rotation.propagationDelay): rotations begin that much earlier"
        )
    return found


def of_roots(situation: Situation) -> list[str]:
    """Name what is to be known of the roots: who does not take them, and that there may be another like it."""
    copies = [root for root in situation.observed.roots if root.is_copy]
    secrets = [root_secret_name(situation.spec.name, root.revision) for root in copies]
    return [*situation.observed.given_warnings, *_given_is_bad(situation), *map(_copied, secrets)]


def _given_is_bad(situation: Situation) -> list[str]:
    """Tell of a given root that is no good while a rotation goes on without it: the next one is held by it."""
    given, standing = situation.observed.given, situation.standing
    if not isinstance(given, MeshCAError) or standing is None or not is_rotating(situation):
        return []
    goes_on = f"The rotation to root {standing.newest.revision} goes on without it"
    return [f"{given.message}. {goes_on}; the next one is held until it is mended"]


def _copied(secret: str) -> str:
    return (
        f"Secret {secret} was made for another MeshCA object, before a restore or in another cluster. If that one still"
        " rotates, the two will not trust one another from the next rotation on (docs/handover.md). If it is gone:"
        f" kubectl annotate secret {secret} {ANNOTATION_MADE_FOR}- (in the operator's namespace)"
    )
