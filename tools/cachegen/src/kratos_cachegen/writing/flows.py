"""Methods that ask a cache, and a source for what that lacks."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kratos_cachegen.source.model import Bts, Method, Shape, Value
from kratos_cachegen.writing.lines import Lines
from kratos_cachegen.writing.parts import Local, arguments, key_call, key_parts, signature

__all__ = ["FlowWriter", "placeholder_check"]


def placeholder_check(method: Method) -> str:
    """Return the check that tells a placeholder, as it is written in options; empty for none."""
    bts = method.bts
    if bts is None or not bts.nullcache or bts.is_mark:
        return ""
    return bts.check_null_code or f"$ == {bts.nullcache}"


class FlowWriter(ABC):
    """Writes what belongs to one method with ``bts``.

    Args:
        lines: Where to.
        method: The method.
        present: Names that the interface gives accessors for.
    """

    def __init__(self, lines: Lines, method: Method, present: frozenset[str]) -> None:
        assert method.bts is not None
        assert method.value is not None
        self._lines = lines
        self._method = method
        self._bts: Bts = method.bts
        self._value: Value = method.value
        self._present = present
        self._local = Local(method)
        self._check = placeholder_check(method)
        self._flow = f"self._flow_{method.name}"
        self._kept = f"self._kept_{method.name}"

    def write(self) -> None:
        """Write the method, its steps, and what the subclass supplies."""
        lines, method = self._lines, self._method
        self._sources()
        lines.call("async def " + method.name + "(", signature(method.params), self._returns())
        with lines.indented():
            lines.doc(method.doc or "Return what the cache has, or what the source has.")
            self._entry()
        lines.add("")
        self._find()
        self._load()
        if self._bts.singleflight:
            self._same()

    @abstractmethod
    def _entry(self) -> None:
        """Write the body of the method itself."""

    @abstractmethod
    def _find(self) -> None:
        """Write what asks the cache, and loads what that lacks."""

    @abstractmethod
    def _load(self) -> None:
        """Write what asks the source, and writes to the cache."""

    def _returns(self) -> str:
        return f") -> {self._method.returns}:"

    @property
    def _result(self) -> str:
        if self._method.shape is Shape.MULTI:
            return f"dict[{self._method.key_type}, {self._value.text}]"
        return self._value.annotation

    def _sources(self) -> None:
        """Write what the subclass has to supply."""
        method, bts, value = self._method, self._bts, self._value
        cache, source, write = bts.ignores
        many = method.shape is Shape.MULTI
        mapping = f"Mapping[{method.key_type}, {value.text}]"
        found = mapping if many else value.annotation
        loaded = f"tuple[{found}, {found}]" if bts.paging else found
        if not bts.custom_method[1]:
            self._abstract(f"raw_{method.name}", source, loaded, "Load from the source.")
        if method.cached is not None:
            return
        if not bts.custom_method[0]:
            self._abstract(f"cache_{method.name}", cache, found, "Read from the cache.")
        if not bts.custom_method[2]:
            self._abstract_write(f"add_cache_{method.name}", write, mapping)

    def _abstract(self, name: str, ignored: frozenset[str], returns: str, doc: str) -> None:
        if name in self._present:
            return
        lines, params = self._lines, self._method.params
        lines.add("@abstractmethod")
        kept = [each for each in params if each.name not in ignored]
        lines.call(f"async def {name}(", signature(kept), f") -> {returns}:")
        with lines.indented():
            lines.doc(doc)
        lines.add("")

    def _abstract_write(self, name: str, ignored: frozenset[str], mapping: str) -> None:
        if name in self._present:
            return
        lines, method = self._lines, self._method
        value = self._local("value")
        first = [f"{value}: {self._value.text}"]
        if method.shape is Shape.MULTI:
            first = [f"{self._local('values')}: {mapping}"]
        elif method.key is not None:
            first = [f"{method.key.name}: {method.key.annotation}", *first]
        extras = [each for each in method.extras if each.name not in ignored]
        _, *rest = signature(extras)
        lines.add("@abstractmethod")
        lines.call(f"async def {name}(", ["self", *first, *rest], ") -> None:")
        with lines.indented():
            lines.doc("Write to the cache.")
        lines.add("")

    def _same(self) -> None:
        lines, method = self._lines, self._method
        parts = key_parts(method)
        lines.call(f"def cache_sf_{method.name}(", signature(parts), ") -> Hashable:")
        with lines.indented():
            lines.doc("Return what is the same for those of whom one works for all.")
            if method.cached is not None:
                lines.add(f"return {key_call(method)}")
            else:
                names = [each.name for each in parts]
                lines.add(f"return ({', '.join(names)}{',' if len(names) == 1 else ''})")
        lines.add("")

    def _reading(self, target: str, question: str, keeps: str) -> None:
        """Write the read of the cache, and what follows when it fails."""
        lines = self._lines
        if self._bts.cache_err == "break":
            lines.add(f"{target} = await {question}")
            return
        error = self._local("error")
        lines.add(f"{keeps} = True")
        with lines.block("try:"):
            lines.add(f"{target} = await {question}")
        with lines.block(f"except Exception as {error}:"):
            lines.add(f'{self._flow}.failed("read", {error})')
            empty = "{}" if self._method.shape is Shape.MULTI else self._nothing()
            lines.add(f"{target} = {empty}", f"{keeps} = False")

    def _nothing(self) -> str:
        return "None" if self._method.cached is not None else self._value.zero

    def _keeps(self, name: str) -> list[str]:
        return [] if self._bts.cache_err == "break" else [f"{self._local('keeps')}={name}"]

    def _keeps_param(self) -> list[str]:
        """Return the parameter that tells whether the cache can be written."""
        return [] if self._bts.cache_err == "break" else [f"{self._local('keeps')}: bool = True"]

    def _cache_call(self) -> str:
        method = self._method
        name = self._bts.custom_method[0] or f"self.cache_{method.name}"
        return f"{name}({', '.join(arguments(method.params, self._bts.ignores[0]))})"

    def _write_back(self, job: str, how: str) -> None:
        keys = "()"
        if self._bts.singleflight:
            parts = key_parts(self._method)
            if how == "one":
                keys = f"(self.cache_sf_{self._method.name}({', '.join(p.passed for p in parts)}),)"
            else:
                assert self._method.key is not None
                each = self._local("each")
                same = ", ".join([each, *(p.passed for p in parts[1:])])
                every = self._method.key.name
                keys = f"[self.cache_sf_{self._method.name}({same}) for {each} in {every}]"
        # Other processes that wait by a lock are let go when the method has returned.
        cached = self._method.cached
        sync = self._bts.sync or (cached is not None and cached.lock > 0)
        self._lines.call(
            f"await {self._flow}.write(", [keys, f"lambda: {job}", f"sync={sync}"], ")"
        )
