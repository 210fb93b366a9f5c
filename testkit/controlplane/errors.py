"""What the API server answers when it refuses: one exception, and the refusals by name.

Owns status codes, reasons and the wording of k8s.io/apimachinery/pkg/api/errors
(people and clients read both). Leaves out when to refuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testkit.controlplane.resources import Resource


@dataclass(frozen=True)
class Cause:
    """One thing wrong with one field: what apimachinery calls a field.Error."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class APIError(Exception):
    """A request that the server refuses; `body()` is the Status it answers with."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status |= {"message": self.message, "reason": self.reason, "code": self.code}
        return status | {"details": self.details} if self.details else status


def _about(resource: Resource, name: str, causes: Sequence[Cause] = ()) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name, "group": resource.group, "kind": resource.plural}
    if causes:
        details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> APIError:
    return APIError(404, "NotFound", f'{resource.qualified} "{name}" not found', _about(resource, name))


def already_exists(resource: Resource, name: str) -> APIError:
    return APIError(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', _about(resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> APIError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return APIError(409, "Conflict", message, _about(resource, name))


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> APIError:
    listed = str(causes[0]) if len(causes) == 1 else f"[{', '.join(map(str, causes))}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _about(resource, name, causes) | {"kind": resource.kind}
    return APIError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> APIError:
    return APIError(400, "BadRequest", message)


def forbidden(resource: Resource, name: str, why: str) -> APIError:
    return APIError(403, "Forbidden", f'{resource.qualified} "{name}" is forbidden: {why}', _about(resource, name))


def expired(message: str) -> APIError:
    return APIError(410, "Expired", message)


def unauthorized() -> APIError:
    return APIError(401, "Unauthorized", "Unauthorized")


def no_such_path() -> APIError:
    return APIError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> APIError:
    message = "the server does not allow this method on the requested resource"
    return APIError(405, "MethodNotAllowed", message)


def unsupported_media_type(content_type: str) -> APIError:
    return APIError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format - {content_type}")
