"""What is wrong when Redis does not do what it is asked for, in words that say what to do."""

from __future__ import annotations

from typing import Final

from redis.exceptions import InvalidResponse

from kratos.limit import describe

__all__ = ["advice"]

# What errors hold, and what that means. The classes of redis-py differ between its versions, and
# what the server says in a script comes within other words.
_KNOWN: Final = (
    ("NOAUTH", "it wants a password: write redis://:password@host, or user:password@"),
    ("Authentication required", "it wants a password: write redis://:password@host"),
    ("WRONGPASS", "it does not take this user or password"),
    ("invalid username-password pair", "it does not take this user or password"),
    ("invalid password", "it does not take this password"),
    ("without any password configured", "it has no password, and was given one: leave it out"),
    ("NOPERM", "this user may not; see the ACL of the user"),
    ("no permissions", "this user may not; see the ACL of the user"),
    ("READONLY", "it is a replica, which cannot be written: name the primary, or the sentinels"),
    ("read only replica", "it is a replica, which cannot be written: name the primary"),
    ("previous master is now a slave", "it has become a replica: sentinels name the primary"),
    ("LOADING", "it is still loading its data"),
    ("loading the dataset", "it is still loading its data"),
    ("MASTER is down", "it is a replica that has lost its primary"),
    ("MASTERDOWN", "it is a replica that has lost its primary"),
    ("OOM ", "it has no memory left: raise maxmemory, or let it evict what may go"),
    ("used memory >", "it has no memory left: raise maxmemory, or let it evict what may go"),
    ("MISCONF", "it cannot save its data, and takes no more"),
    ("NOREPLICAS", "it has too few replicas to take what is written"),
    ("CLUSTERDOWN", "the cluster does not serve all slots"),
    ("slot not served", "the cluster does not serve all slots"),
    ("cluster is down", "the cluster does not serve all slots"),
    ("MOVED ", "it is a node of a cluster: write redis+cluster://"),
    ("MovedError", "it is a node of a cluster: write redis+cluster://"),
    ("cluster mode is not enabled", "it is no cluster: write redis://"),
    ("Cluster mode is not enabled", "it is no cluster: write redis://"),
    ("cluster support disabled", "it is no cluster: write redis://"),
    ("WRONGTYPE", "the key is used for something else"),
    ("DB index is out of range", "it has no database of that number"),
    ("unknown command 'SENTINEL'", "it is no sentinel: write redis://, or name the sentinels"),
    ("unknown command `SENTINEL`", "it is no sentinel: write redis://, or name the sentinels"),
    ("unknown command", "it is older than Redis 5, or knows that command by another name"),
    ("Too many connections", "the client has no connection left: raise its max_connections"),
    ("No master found", "the sentinels know no primary of that name"),
    ("certificate verify failed", "its certificate is not trusted: check ca="),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS there: write redis://, or name its TLS port"),
    ("wrong version number", "it does not speak TLS there: write redis://, or name its TLS port"),
    ("record layer failure", "it does not speak TLS there: write redis://, or name its TLS port"),
)


def advice(error: BaseException) -> str:
    """Return what an error of a client means, with the error itself."""
    told = describe(error)
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and str(cause) not in told:
        told += (
            f", {describe(cause)}"  # of which earlier versions of redis-py tell the number alone
        )
    if isinstance(error, InvalidResponse):
        return f"what answers there is no Redis ({told})"
    for sign, meaning in _KNOWN:
        if sign in told:
            return f"{meaning} ({told})"
    return told
