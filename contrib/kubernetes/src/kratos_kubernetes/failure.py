"""What Kubernetes' refusals and silence are told as."""

from __future__ import annotations

from typing import Final

from kratos.errors import Error, RegistryUnavailable

__all__ = ["CONFLICT", "GONE", "MISSING", "UNFIT", "KubernetesUnavailable", "unavailable"]

MISSING: Final = 404
CONFLICT: Final = 409
GONE: Final = 410
UNFIT: Final = 422

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_OWN_TROUBLE: Final = 500  # and above: it may have been done before
_TIMEOUT: Final = 504
_UNREACHABLE: Final = "UNAVAILABLE"  # the reason of our own transport; Kubernetes has others
_CODEC: Final = "CODEC"
_FOREIGN: Final = "HTTP_"


class KubernetesUnavailable(RegistryUnavailable):
    """The API server did not answer, or refused; the text says which, and what to do.

    Attributes:
        code: The status that it answered with; ``None`` if there was none.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_refusal(self) -> bool:
        """Whether the server said no: what was asked for has surely not been done."""
        return self.code is not None and self.code < _OWN_TROUBLE


def unavailable(error: Error, *, asked: str, server: str, credentials: str) -> Exception:
    """Return the error that tells of a failed call.

    Args:
        error: What the call raised.
        asked: Verb and path.
        server: Who was asked.
        credentials: What it was shown, in words.
    """
    where = f"Kubernetes at {server}"
    if error.reason == _UNREACHABLE:
        text = f"{where} cannot be reached ({asked}): {error.message}{_hint(error)}"
        return KubernetesUnavailable(text)
    if error.reason == _CODEC or error.reason.startswith(_FOREIGN):
        page = "" if error.__cause__ is None else f": {str(error.__cause__)[:200]!r}"
        text = f"{server} does not answer as Kubernetes does ({asked}): {error.message}{page}"
        return KubernetesUnavailable(text, code=None if error.reason == _CODEC else error.code)
    if error.code == _UNAUTHORIZED:
        text = f"{where} does not take {credentials}: wrong, expired, or of another cluster"
    elif error.code == _FORBIDDEN:
        text = f"{where} does not permit {asked}: {error.message}; grant it by a Role"
    elif error.code == _TIMEOUT:
        text = f"{where} does not answer in time ({asked})"
    else:
        text = f"{where} refuses {asked}: {error.code} {error.reason} {error.message}"
    return KubernetesUnavailable(text, code=error.code)


def _hint(error: Error) -> str:
    if "certificate verify failed" in error.message:
        return "; is the ca that of this cluster?"
    return ""
