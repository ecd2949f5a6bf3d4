"""Methods about many values, which ask a cache, and a source for what that lacks."""

from __future__ import annotations

from kratos_cachegen.source.decorators import substituted
from kratos_cachegen.source.model import Kind
from kratos_cachegen.writing.flows import FlowWriter
from kratos_cachegen.writing.parts import arguments, key_call, key_parts, signature

__all__ = ["ManyWriter"]


class ManyWriter(FlowWriter):
    """Writes one; see ``FlowWriter``."""

    def _entry(self) -> None:
        """Write the body of the method itself."""
        lines, method = self._lines, self._method
        assert method.key is not None
        keys, extras = method.key.name, arguments(method.extras)
        if self._bts.singleflight:
            each, some = self._local("each"), self._local("some")
            same = ", ".join([each, *(one.passed for one in key_parts(method)[1:])])
            found = ", ".join([some, *extras])
            lines.call(
                f"return await {self._flow}.once_each(",
                [
                    f"{{{each}: self.cache_sf_{method.name}({same}) for {each} in {keys}}}",
                    f"lambda {some}: self._find_{method.name}({found})",
                ],
                ")",
            )
        else:
            unique = f"list(dict.fromkeys({keys}))"
            lines.call(f"return await self._find_{method.name}(", [unique, *extras], ")")

    def _find(self) -> None:
        lines, method, value = self._lines, self._method, self._value
        assert method.key is not None
        keys = method.key.name
        found, keeps, each = (self._local(n) for n in ("found", "keeps", "each"))
        result, misses, error = (self._local(n) for n in ("result", "misses", "error"))
        params = self._list_params()
        lines.call(f"async def _find_{method.name}(", params, f") -> {self._result}:")
        with lines.indented():
            with lines.block(f"if not {keys}:"):
                lines.add("return {}")
            if method.cached is not None:
                names = self._local("names")
                self._comprehension(
                    names, [f"{each}: {key_call(method, each)}", f"for {each} in {keys}"]
                )
                lines.add(f"{found}: Mapping[{method.key_type}, Found[{value.text}]]")
                self._reading(found, f"{self._kept}.get_many({names})", keeps)
                lines.add(f"{misses} = [{each} for {each} in {keys} if {each} not in {found}]")
            else:
                lines.add(f"{found}: Mapping[{method.key_type}, {value.text}]")
                self._reading(found, self._cache_call(), keeps)
                absent = f"{each} not in {found}"
                if not value.is_number and value.kind is not Kind.OBJECT:
                    absent = f"not {found}.get({each})"
                lines.add(f"{misses} = [{each} for {each} in {keys} if {absent}]")
            lines.add(f"{self._flow}.hit(len({keys}) - len({misses}))")
            self._strip(found, result)
            with lines.block(f"if not {misses}:"):
                lines.add(f"return {result}")
            lines.add(f"{self._flow}.miss(len({misses}))")
            with lines.block("try:"):
                passed = [misses, *arguments(method.extras), *self._keeps(keeps)]
                lines.call(f"{result}.update(await self._load_{method.name}(", passed, "))")
            with lines.block(f"except Exception as {error}:"):
                lines.add(f"{result}.update(partial_result({error}))")
                lines.add(f"raise with_partial({error}, {result})")
            lines.add(f"return {result}")
        lines.add("")

    def _strip(self, found: str, result: str) -> None:
        """Write what is found without placeholders, and the renewal of what is stale."""
        lines, method, value = self._lines, self._method, self._value
        each, one = self._local("each"), self._local("one")
        if method.cached is None:
            parts = [f"{each}: {one}", f"for {each}, {one} in {found}.items()"]
            tests: list[str] = []
            if value.kind is not Kind.OBJECT and not value.is_number:
                tests.append(one)
            if self._check:
                tests.append(f"not ({substituted(self._check, one)})")
            if tests:
                self._comprehension(result, [*parts, f"if {' and '.join(tests)}"])
            else:
                lines.add(f"{result} = dict({found})")
            return
        if method.cached.stale:
            stale, some, names = (self._local(n) for n in ("stale", "some", "names"))
            self._comprehension(
                stale,
                [
                    f"{each}: {names}[{each}]",
                    f"for {each}, {one} in {found}.items()",
                    f"if {one}.stale",
                ],
            )
            load = f"self._load_{method.name}({', '.join([some, *arguments(method.extras)])})"
            with lines.block(f"if {stale}:"):
                lines.call(f"{self._flow}.renew(", [stale, f"lambda {some}: {load}"], ")")
        local = f"{one}.value"
        test = f"if {local} is not None"
        if self._check:
            test += f" and not ({substituted(self._check, local)})"
        self._comprehension(
            result, [f"{each}: {local}", f"for {each}, {one} in {found}.items()", test]
        )

    def _comprehension(self, result: str, parts: list[str]) -> None:
        self._lines.comprehension(f"{result} = {{", parts, "}")

    def _list_params(self, *more: str) -> list[str]:
        method = self._method
        assert method.key is not None
        _, *rest = signature(method.extras, *more)
        return ["self", f"{method.key.name}: list[{method.key_type}]", *rest]

    def _load(self) -> None:
        lines, method, bts = self._lines, self._method, self._bts
        assert method.key is not None
        keys = method.key.name
        loaded, error, some = (self._local(n) for n in ("loaded", "error", "some"))
        kept, each = self._local("kept"), self._local("each")
        params = self._list_params(*self._keeps_param())
        lines.call(f"async def _load_{method.name}(", params, f") -> {self._result}:")
        source = bts.custom_method[1] or f"self.raw_{method.name}"
        extras = arguments(method.extras, bts.ignores[1])
        ask = f"lambda {some}: {source}({', '.join([some, *extras])})" if extras else source
        options: list[str] = []
        if bts.batch:
            options += [f"batch={bts.batch}", f"max_group={bts.max_group}"]
            if bts.batch_err == "continue":
                options.append("go_on=True")
        with lines.indented():
            lines.call(
                f"{loaded}, {error} = await in_groups(",
                [keys, ask, *options],
                ")",
            )
            with lines.block(f"if {error} is not None:"):
                lines.add(f"raise with_partial({error}, {loaded})")
            if bts.cache_err == "break":
                self._keep(loaded, kept, each)
            else:
                with lines.block(f"if {self._local('keeps')}:"):
                    self._keep(loaded, kept, each)
            lines.add(f"return {loaded}")
        lines.add("")
        if self._bts.prefetch:
            self._prefetch()

    def _keep(self, loaded: str, kept: str, each: str) -> None:
        method, bts, value = self._method, self._bts, self._value
        assert method.key is not None
        keys = method.key.name
        target = loaded
        if bts.nullcache:
            target = kept
            if bts.is_mark:
                entry = f"{loaded}.get({each})"
            elif value.is_number or value.kind is Kind.OBJECT:
                entry = f"{loaded}.get({each}, {bts.nullcache})"
            else:
                entry = f"{loaded}.get({each}) or {bts.nullcache}"
            self._comprehension(kept, [f"{each}: {entry}", f"for {each} in {keys}"])
        if method.cached is not None:
            entries = self._local("entries")
            name = key_call(method, each)
            self._comprehension(entries, [f"{name}: {target}[{each}]", f"for {each} in {target}"])
            job = f"{self._kept}.set_many({entries})"
        else:
            function = bts.custom_method[2] or f"self.add_cache_{method.name}"
            passed = [target, *arguments(method.extras, bts.ignores[2])]
            job = f"{function}({', '.join(passed)})"
        self._write_back(job, "many")

    def _prefetch(self) -> None:
        lines, method, bts = self._lines, self._method, self._bts
        assert method.key is not None
        keys = method.key.name
        found, error, some = (self._local(n) for n in ("found", "error", "some"))
        lines.call(f"async def prefetch_{method.name}(", signature(method.params), ") -> int:")
        with lines.indented():
            lines.doc("Have values in the cache before they are asked for; return how many are.")
            extras = arguments(method.extras)
            call = f"self.{method.name}({', '.join([some, *extras])})"
            ask = f"lambda {some}: {call}" if extras else f"self.{method.name}"
            lines.call(
                f"{found}, {error} = await in_groups(",
                [
                    f"list(dict.fromkeys({keys}))",
                    ask,
                    f"batch={bts.prefetch}",
                    f"max_group={bts.max_group or 1}",
                    "go_on=True",
                ],
                ")",
            )
            with lines.block(f"if {error} is not None:"):
                lines.add(f"raise {error}")
            lines.add(f"return len({found})")
        lines.add("")
