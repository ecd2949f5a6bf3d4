"""In what our gateway differs from Go's, and why it should.

Whatever else differs is a fault, and so is a difference that is in this list and not there.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EVERYWHERE", "WANTED"]

WANTED: Final = {
    "absent agent": "Go's client names itself where a client has named no program.",
    "body of the last": "Go's gateway loses the body of the last of the attempts it was allowed.",
    "case of hosts": "Names of hosts have no case (RFC 9110 4.2.3); Go compares it.",
    "connect": "A gateway is no tunnel, and says so; to Go CONNECT is a method like others.",
    "cors lists": "A list replaces the default; Go's gateway can never allow less than that.",
    "cors vary": "What the back end says that its answer varies with stays true.",
    "cors nobody": "Caches must not give pages what was answered to no page.",
    "forged": "What clients say about forwarding is believed of trusted proxies alone.",
    "forwarded": "Back ends are told under which host and scheme they were asked for.",
    "framing": "Lengths and chunks are of one hop: a body that is there as a whole has a length.",
    "guess": "What a body is is not guessed; Go looks at its first bytes.",
    "hop": "Headers of one hop stop there (RFC 9110 7.6.1).",
    "last slash": "Go's gateway loses it where the prefix that is stripped ends in one.",
    "malformed": "Requests that are none are refused by the engine, in its own words.",
    "message": "Texts of gRPC are percent-encoded, and tell clients no addresses of back ends.",
    "methods": "Methods are those that are registered; their case is part of them.",
    "old protocol": "Answers have the version of the server (RFC 9110 2.5).",
    "phrase": "Reason phrases say nothing (RFC 9112 4).",
    "query": "A question mark with nothing behind it says nothing.",
    "spelling": "A path reaches the back end in the form in which it was matched, so that no other"
    " spelling of it leads around an endpoint; Go sends some of them on as they came.",
    "statuses": "Failures of gRPC have a status of HTTP that says so.",
    "streams": "Bodies pass as they come, and so do their trailers.",
    "trailers of requests": "What follows a body is read by no framework; it was used to smuggle.",
    "untyped": "What had no type is read as JSON; Go's answer has an empty type.",
}
"""Reasons by name."""

EVERYWHERE: Final = {
    "request header user-agent": "absent agent",
    "request header x-forwarded-host": "forwarded",
    "request header x-forwarded-proto": "forwarded",
}
"""What differs in every request that reaches a back end."""
