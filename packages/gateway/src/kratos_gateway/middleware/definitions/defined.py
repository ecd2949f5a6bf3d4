"""What middleware makes of the definitions of services: at once, or when back ends tell them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from kratos.clock import Clock
from kratos.definition.reflection import Undefined
from kratos.errors import ConfigError, Error
from kratos.limit import Limit, cancel_and_wait
from kratos.log import Level, Logger
from kratos.offload import offload
from kratos_gateway.api.reflection_pb2 import Reflection
from kratos_gateway.middleware.definitions.reflection import Told
from kratos_gateway.middleware.options import seconds_of

__all__ = ["Defined", "Given", "Pace", "Reflected", "given_definitions"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SOONEST: Final = 1.0  # seconds between two questions, whatever happens
_SLOWEST: Final = 10.0  # seconds from a failure to the next question


def given_definitions(descriptor_set: str, descriptors: bytes, /) -> bytes:
    """Return definitions that a configuration has, or names the file of.

    Raises:
        ConfigError: The file cannot be read.
    """
    if not descriptor_set:
        return descriptors
    try:
        return Path(descriptor_set).read_bytes()
    except OSError as error:
        raise ConfigError(f"descriptorSet cannot be read: {error}") from error


class Defined(Protocol[T_co]):
    """What is made of definitions."""

    @property
    def current(self) -> T_co | None:
        """It; ``None`` as long as there are none."""
        ...

    async def first(self) -> T_co:
        """Return it, after waiting for the first answer if that is still on its way.

        Raises:
            Error: 503 ``NOT_DEFINED_YET``: nobody has told definitions.

        Cancellation: safe.
        """
        ...

    def doubt(self) -> None:
        """Note that a back end did not know a method that is defined."""
        ...

    async def aclose(self) -> None:
        """Ask no more. Idempotent."""
        ...


class Given(Generic[T]):
    """Of definitions that do not change.

    Args:
        current: What was made.
    """

    def __init__(self, current: T) -> None:
        self.current: T | None = current
        self._made: Final = current

    async def first(self) -> T:
        """Return it."""
        return self._made

    def doubt(self) -> None:
        """Do nothing: nobody can be asked."""

    async def aclose(self) -> None:
        """Do nothing."""


class Pace:
    """How often back ends are asked, and how long; in seconds.

    Args:
        options: As the configuration has them.

    Attributes:
        interval: From an answer to the next question.
        timeout: For all questions together.
        most: Bytes of all definitions together.

    Raises:
        ConfigError: A time is out of its range.
    """

    def __init__(self, options: Reflection) -> None:
        self.interval = 60.0
        self.timeout = 5.0
        if options.HasField("interval"):
            given = options.interval
            self.interval = seconds_of(given, name="reflection.interval", least=_SOONEST)
        if options.HasField("timeout"):
            self.timeout = seconds_of(options.timeout, name="reflection.timeout", least=0.001)
        self.most: Final = options.max_bytes or 16 * 1024 * 1024


class _Files:
    """Definitions that back ends have told; known as long as somebody uses them."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data: Final = data


# So that a change of the configuration begins with what is known, and not with 503.
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[object, _Files]] = (
    WeakKeyDictionary()
)


class Reflected(Generic[T]):
    """Of definitions that back ends tell, again and again; what there is stays until another is.

    Args:
        tell: Asks for them.
        make: Makes something of them, in a thread; raises ``ConfigError`` for what is no good.
        pace: How often they are asked.
        clock: Time between questions.
        logger: Told why there are none, once for each reason.
        key: What stands for the back ends; who asks the same ones begins with what is known.

    Attributes:
        current: What was made; ``None`` before there is something.
    """

    def __init__(
        self,
        tell: Told,
        make: Callable[[bytes], T],
        *,
        pace: Pace,
        clock: Clock,
        logger: Logger,
        key: object,
    ) -> None:
        self.current: T | None = None
        self._tell = tell
        self._make = make
        self._pace = pace
        self._clock = clock
        self._logger = logger
        self._key = key
        self._files: _Files | None = None
        self._failure = ""
        self._answered = asyncio.Event()
        self._doubted = asyncio.Event()
        self._known = _by_loop.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
        self._task = asyncio.create_task(self._follow(), name="kratos-gateway-definitions")

    async def first(self) -> T:
        """Return what was made; see ``Defined``."""
        await self._answered.wait()
        if self.current is None:
            text = "it is not known yet how this service is defined: try again later"
            raise Error(503, "NOT_DEFINED_YET", text)
        return self.current

    def doubt(self) -> None:
        """Ask soon."""
        self._doubted.set()

    async def aclose(self) -> None:
        """Ask no more. Idempotent."""
        await cancel_and_wait(self._task)
        self._answered.set()

    async def _follow(self) -> None:
        known = self._known.get(self._key)
        if known is not None:
            with suppress(ConfigError, Error):  # they may be no good for this; the answer tells
                await self._take(known)
        wait = _SOONEST
        while True:
            well = await self._ask()
            self._answered.set()
            wait = self._pace.interval if well else min(2 * wait, _SLOWEST)
            await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        """Wait for the next question, which a doubt brings nearer."""
        await self._clock.sleep(min(_SOONEST, seconds))
        with suppress(TimeoutError):
            async with Limit(self._clock, seconds - _SOONEST):
                await self._doubted.wait()
        self._doubted.clear()

    async def _ask(self) -> bool:
        """Ask once, and return whether there was a good answer."""
        limit = Limit(self._clock, self._pace.timeout)
        try:
            async with limit:
                data = await self._tell()
            if self._files is None or self._files.data != data:
                await self._take(_Files(data))
        except TimeoutError:
            self._fail(f"no answer within {self._pace.timeout:g} s")
        except (ConfigError, Error, OSError, Undefined) as error:
            self._fail(str(error) or type(error).__name__)
        except Exception as error:  # whatever a back end sends must not end the asking
            self._fail(f"{type(error).__name__}: {error}")
        else:
            self._failure = ""
            return True
        return False

    async def _take(self, files: _Files) -> None:
        self.current = await offload(self._make, files.data)
        self._files = self._known[self._key] = files
        self._answered.set()

    def _fail(self, reason: str) -> None:
        if reason == self._failure:
            return
        self._failure = reason
        kept = "those that are known stay" if self.current is not None else "requests get 503"
        text = f"back ends do not tell their definitions, and {kept}"
        self._logger.log(Level.WARN, text, {"error": reason})
