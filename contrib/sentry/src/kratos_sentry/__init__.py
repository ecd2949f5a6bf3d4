"""Errors of calls, told to Sentry by sentry_sdk.

``server`` is the middleware that reports them, ``Sentry`` opens the way to Sentry when an
application starts and sends what waits when it stops, and ``redacted`` hides secrets in events.
"""

from kratos_sentry.client import Sentry
from kratos_sentry.middleware import server
from kratos_sentry.redaction import redacted

__all__ = ["Sentry", "redacted", "server"]
