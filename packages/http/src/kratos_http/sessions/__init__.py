"""Sessions: a few values that a browser's requests have in common."""

from kratos_http.sessions._session import Session, current_session
from kratos_http.sessions.cookie import CookieSessions
from kratos_http.sessions.options import SessionOptions
from kratos_http.sessions.store import MemorySessionStore, SessionStore
from kratos_http.sessions.stored import StoredSessions

__all__ = [
    "CookieSessions",
    "MemorySessionStore",
    "Session",
    "SessionOptions",
    "SessionStore",
    "StoredSessions",
    "current_session",
]
