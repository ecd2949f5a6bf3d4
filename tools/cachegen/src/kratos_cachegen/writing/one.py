"""Methods about one value, which ask a cache, and a source for what that lacks."""

from __future__ import annotations

from kratos_cachegen.source.decorators import substituted
from kratos_cachegen.writing.flows import FlowWriter
from kratos_cachegen.writing.parts import arguments, key_call, key_parts, signature

__all__ = ["OneWriter"]


class OneWriter(FlowWriter):
    """Writes one; see ``FlowWriter``."""

    def _entry(self) -> None:
        """Write the body of the method itself."""
        lines, method = self._lines, self._method
        call = f"self._find_{method.name}({', '.join(arguments(method.params))})"
        if self._bts.singleflight:
            same = ", ".join(each.passed for each in key_parts(method))
            lines.call(
                f"return await {self._flow}.once(",
                [f"self.cache_sf_{method.name}({same})", f"lambda: {call}"],
                ")",
            )
        else:
            lines.add(f"return await {call}")

    def _find(self) -> None:
        lines, method, value = self._lines, self._method, self._value
        found, keeps = self._local("found"), self._local("keeps")
        params = signature(method.params)
        lines.call(f"async def _find_{method.name}(", params, f") -> {self._result}:")
        with lines.indented():
            if method.cached is not None:
                key = self._local("key")
                lines.add(f"{key} = {key_call(method)}")
                self._reading(found, f"{self._kept}.get({key})", keeps)
                if method.cached.lock:
                    asks = "" if self._bts.cache_err == "break" else f", asks={keeps}"
                    turn = f"{self._kept}.turn({key}, {found}{asks})"
                    with lines.block(f"async with {turn} as {found}:"):
                        self._use_or_load(found, keeps)
                else:
                    self._use_or_load(found, keeps)
            else:
                self._reading(found, self._cache_call(), keeps)
                test = f"{found} is not None" if value.optional else found
                with lines.block(f"if {test}:"):
                    lines.add(f"{self._flow}.hit()")
                    self._return_value(found)
                self._miss(keeps)
        lines.add("")

    def _use_or_load(self, found: str, keeps: str) -> None:
        lines = self._lines
        with lines.block(f"if {found} is not None:"):
            lines.add(f"{self._flow}.hit()")
            self._renew(found)
            self._return_kept(f"{found}.value")
        self._miss(keeps)

    def _miss(self, keeps: str) -> None:
        lines, method = self._lines, self._method
        lines.add(f"{self._flow}.miss()")
        passed = [*arguments(method.params), *self._keeps(keeps)]
        lines.call(f"return await self._load_{method.name}(", passed, ")")

    def _renew(self, found: str) -> None:
        lines, method = self._lines, self._method
        assert method.cached is not None
        if not method.cached.stale:
            return
        passed, key = ", ".join(arguments(method.params)), self._local("key")
        renew = f"self._load_{method.name}({passed})"
        if method.cached.lock:
            load = f"lambda: {renew}" if passed else f"self._load_{method.name}"
            renew = f"{self._kept}.renew({key}, {load})"
        with lines.block(f"if {found}.stale:"):
            lines.call(f"{self._flow}.renew(", [f"{{{key}: {key}}}", f"lambda _: {renew}"], ")")

    def _return_value(self, name: str) -> None:
        if self._check:
            null = substituted(self._check, name)
            self._lines.add(f"return {self._value.zero} if {null} else {name}")
        else:
            self._lines.add(f"return {name}")

    def _return_kept(self, name: str) -> None:
        """Write the return of what the store had, which may be the mark that there is none."""
        lines, value = self._lines, self._value
        if value.optional and not self._check:
            lines.add(f"return {name}")
            return
        local = self._local("value")
        lines.add(f"{local} = {name}")
        null = f" or {substituted(self._check, local)}" if self._check else ""
        lines.add(f"return {value.zero} if {local} is None{null} else {local}")

    def _load(self) -> None:
        lines, method, bts, value = self._lines, self._method, self._bts, self._value
        loaded, kept, keeps = (self._local(n) for n in ("value", "kept", "keeps"))
        params = signature(method.params, *self._keeps_param())
        lines.call(f"async def _load_{method.name}(", params, f") -> {self._result}:")
        source = bts.custom_method[1] or f"self.raw_{method.name}"
        passed = arguments(method.params, bts.ignores[1])
        with lines.indented():
            target = loaded
            if bts.paging:
                lines.call(f"{loaded}, {kept} = await {source}(", passed, ")")
                target = kept
            else:
                lines.call(f"{loaded} = await {source}(", passed, ")")
            if bts.nullcache and not bts.is_mark:
                if bts.paging:
                    with lines.block(f"if {value.empty(kept)}:"):
                        lines.add(f"{kept} = {bts.nullcache}")
                else:
                    empty = value.empty(loaded)
                    lines.add(f"{kept} = {bts.nullcache} if {empty} else {loaded}")
                target = kept
            tests = [] if bts.cache_err == "break" else [keeps]
            if method.cached is None and not bts.nullcache:
                tests.append(f"{target} is not None" if value.optional else target)
            if tests:
                with lines.block(f"if {' and '.join(tests)}:"):
                    self._write_back(self._add(target), "one")
            else:
                self._write_back(self._add(target), "one")
            lines.add(f"return {loaded}")
        lines.add("")

    def _add(self, target: str) -> str:
        method = self._method
        if method.cached is not None:
            return f"{self._kept}.set({key_call(method)}, {target})"
        name = self._bts.custom_method[2] or f"self.add_cache_{method.name}"
        first = [target] if method.key is None else [method.key.passed, target]
        passed = [*first, *arguments(method.extras, self._bts.ignores[2])]
        return f"{name}({', '.join(passed)})"
