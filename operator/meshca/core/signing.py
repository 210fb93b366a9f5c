"""A new intermediate, where its signature takes time: asked for, waited for, used, and the request forgotten.

Where the key of a root is here, a step that issues signs by itself. Where it is not, a person, a ticket or another
CA may take days. So the new key and the request for it are stored first; whoever is to sign is asked on every pass;
and the step is taken with the answer. Meanwhile everything else goes on.
"""

from meshca.core.actions import DropRequest, RequestCA, WriteCA
from meshca.core.outcomes import Hold, Obstacle, Outcome, Step, Wait
from meshca.core.questions import Ask, AskSigner, Pending, Signature
from meshca.core.situation import Situation
from meshca.words.reasons import Done


def before(situation: Situation, step: Step) -> Step | Hold | Ask:
    """Return the step, or what has to come before it: the request, the question, or the wait for the signature."""
    action = step.action
    if not isinstance(action, WriteCA) or not action.issue or not situation.root(action.signer).is_remote:
        return step
    title, signature = situation.title(action.target), Signature(action.target, action.signer)
    request = situation.observed.requests.get(signature)
    if request is None or request.is_used or request.key != situation.spec.intermediate.key:
        message = f"asks for an intermediate of {title} under root {action.signer}"
        return Step(RequestCA(signature), Done.CA_REQUESTED, message)
    match request.answer:
        case None:
            return AskSigner(signature)
        case Pending(message, until, reason, stalled):
            told = f"{title} waits for the signature of root {action.signer}: {message}"
            return Obstacle(reason, told) if stalled else Wait(reason, told, until)
        case _:
            return step


def drop_requests(situation: Situation) -> Outcome:
    """Delete each request whose certificate is in place, or whose target or root is gone: it holds a key."""
    signers = {root.revision for root in situation.observed.roots if root.has_key}
    for signature, request in situation.observed.requests.items():
        target, signer = signature
        if request.is_used or target not in situation.issuing or signer not in signers:
            message = f"closes the request for an intermediate of target {target} under root {signer}"
            yield Step(DropRequest(signature), Done.REQUEST_CLOSED, message)
