"""Methods that ask a cache, and a source for what that lacks."""

from __future__ import annotations

from kratos_cachegen.source.decorators import substituted
from kratos_cachegen.source.model import Bts, Kind, Method, Shape, Value
from kratos_cachegen.writing.lines import Lines
from kratos_cachegen.writing.parts import Local, arguments, key_call, key_parts, signature

__all__ = ["FlowWriter", "placeholder_check"]


def placeholder_check(method: Method) -> str:
    """Return the check that tells a placeholder, as it is written in options; empty for none."""
    bts = method.bts
    if bts is None or not bts.nullcache or bts.is_mark:
        return ""
    return bts.check_null_code or f"$ == {bts.nullcache}"


class FlowWriter:
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
        if method.shape is Shape.MULTI:
            self._find_many()
            self._load_many()
            if self._bts.prefetch:
                self._prefetch()
        else:
            self._find_one()
            self._load_one()
        if self._bts.singleflight:
            self._same()

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

    def _entry(self) -> None:
        """Write the body of the method itself."""
        lines, method = self._lines, self._method
        if method.shape is not Shape.MULTI:
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
            return
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

    def _find_one(self) -> None:
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
                self._miss_one(keeps)
        lines.add("")

    def _use_or_load(self, found: str, keeps: str) -> None:
        lines = self._lines
        with lines.block(f"if {found} is not None:"):
            lines.add(f"{self._flow}.hit()")
            self._renew_one(found)
            self._return_kept(f"{found}.value")
        self._miss_one(keeps)

    def _miss_one(self, keeps: str) -> None:
        lines, method = self._lines, self._method
        lines.add(f"{self._flow}.miss()")
        passed = [*arguments(method.params), *self._keeps(keeps)]
        lines.call(f"return await self._load_{method.name}(", passed, ")")

    def _renew_one(self, found: str) -> None:
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

    def _load_one(self) -> None:
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
                    self._write_back(self._add_one(target), "one")
            else:
                self._write_back(self._add_one(target), "one")
            lines.add(f"return {loaded}")
        lines.add("")

    def _add_one(self, target: str) -> str:
        method = self._method
        if method.cached is not None:
            return f"{self._kept}.set({key_call(method)}, {target})"
        name = self._bts.custom_method[2] or f"self.add_cache_{method.name}"
        first = [target] if method.key is None else [method.key.passed, target]
        passed = [*first, *arguments(method.extras, self._bts.ignores[2])]
        return f"{name}({', '.join(passed)})"

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

    def _find_many(self) -> None:
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

    def _load_many(self) -> None:
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
                self._keep_many(loaded, kept, each)
            else:
                with lines.block(f"if {self._local('keeps')}:"):
                    self._keep_many(loaded, kept, each)
            lines.add(f"return {loaded}")
        lines.add("")

    def _keep_many(self, loaded: str, kept: str, each: str) -> None:
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
