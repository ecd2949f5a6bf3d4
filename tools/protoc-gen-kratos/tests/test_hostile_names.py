"""Any names that protobuf accepts make modules that Python compiles."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from protoc_gen_kratos import DefinitionError, GeneratedFile, generate

HOSTILE = [
    *("None", "True", "class", "def", "from", "import", "lambda", "async", "match", "type", "_"),
    *("str", "int", "bool", "list", "property", "super", "object", "self", "cls", "kwargs"),
    *("Any", "Final", "Literal", "Message", "Method", "Service", "Error", "Caller", "Arity"),
    *("_Any", "_Final", "_Message", "_builtins", "_caller", "METHODS", "DESCRIPTOR", "HasField"),
    *("Name", "Value", "keys", "real", "mro", "__init__", "__slots__", "__mangled", "x", "X"),
]
names = st.sampled_from(HOSTILE)
classes = st.sampled_from([name for name in HOSTILE if name[:2] != "__" and name != "DESCRIPTOR"])
unique = st.lists(names, unique=True, max_size=6)


def fill(message: DescriptorProto, fields: list[str], nested: list[str], home: str) -> None:
    taken = set(fields)
    for number, name in enumerate(fields, start=1):
        message.field.add(name=name, number=number, label=1, type=11, type_name=home)
    for name in nested:
        if name not in taken:
            message.nested_type.add(name=name).field.add(
                name=name, number=1, label=3, type=11, type_name=f"{home}.{name}"
            )


@st.composite
def files(draw: st.DrawFn) -> FileDescriptorProto:
    file = FileDescriptorProto(name="hostile.proto", package="hostile", syntax="proto3")
    top = draw(st.lists(classes, unique=True, min_size=1, max_size=8))
    services = draw(st.integers(min_value=0, max_value=min(2, len(top) - 1)))
    for name in top[services:]:
        if draw(st.booleans()) or not file.message_type:
            fields, nested = draw(unique), draw(st.lists(classes, unique=True, max_size=4))
            fill(file.message_type.add(name=name), fields, nested, f".hostile.{name}")
        else:
            enum = file.enum_type.add(name=name)
            for number, value in enumerate(set(draw(unique)) - set(top) | {f"ZERO_{name}"}):
                enum.value.add(name=value, number=number)
    message = f".hostile.{file.message_type[0].name}"
    for name in top[:services]:
        service = file.service.add(name=name)
        for method in draw(unique):
            service.method.add(name=method, input_type=message, output_type=message)
    return file


def outputs(file: FileDescriptorProto) -> tuple[GeneratedFile, ...]:
    """Return what is generated; nothing for what is refused, as equal names are."""
    descriptor_set = FileDescriptorSet(file=[file]).SerializeToString()
    try:
        return generate(descriptor_set, [file.name]).files
    except DefinitionError:
        return ()


@given(files())
@settings(max_examples=200)
def test_output_compiles_or_the_definition_is_refused(file: FileDescriptorProto) -> None:
    for made in outputs(file):
        compile(ast.parse(made.content, made.path), made.path, "exec")


def commented(name: str, comment: str) -> FileDescriptorProto:
    """Return a definition that has a comment wherever one is copied from."""
    file = FileDescriptorProto(name=name, package="hostile", syntax="proto3")
    message, enum = file.message_type.add(name="A"), file.enum_type.add(name="E")
    message.field.add(name="f", number=1, label=1, type=9)
    enum.value.add(name="Z", number=0)
    service = file.service.add(name="S")
    service.method.add(name="Do", input_type=".hostile.A", output_type=".hostile.A")
    for path in ((4, 0), (4, 0, 2, 0), (5, 0), (5, 0, 2, 0), (6, 0), (6, 0, 2, 0)):
        file.source_code_info.location.add(path=path, span=(1, 1, 2), leading_comments=comment)
    return file


TEXTS = st.text(st.sampled_from("a\"'\\\n\r\f\t\0#{}%`<N\x1b\x85\u2028\u202eü🙂 ;:/."), max_size=30)


@given(TEXTS, TEXTS)
@settings(max_examples=300)
def test_neither_a_comment_nor_the_name_of_a_file_becomes_code(name: str, comment: str) -> None:
    """Whatever they say, the output has the statements that it has without them."""
    plain = [_statements(made) for made in outputs(commented("x.proto", ""))]
    made = outputs(commented(f"{name}.proto", comment))
    for file in made:
        assert file.content.isascii() or file.content.replace("\n", "").isprintable()
    assert made == () or [_statements(file) for file in made] == plain


def _statements(file: GeneratedFile) -> list[str]:
    """Return the kinds of what is in a module, docstrings and paths left out."""
    tree = ast.parse(file.content)
    return [type(node).__name__ for node in ast.walk(tree) if isinstance(node, KINDS)]


KINDS = (ast.Call, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Raise, ast.Assign)


@pytest.mark.parametrize(
    "name",
    [
        *("a\nraise SystemExit.proto", "a\rb.proto", "a\x1b[31m.proto", "a\u2028b.proto", ""),
        *("/tmp/a.proto", "../a.proto", "a/../b.proto", "a//b.proto", "./a.proto"),
    ],
)
def test_name_that_is_no_path_below_a_folder_is_refused(name: str) -> None:
    file = FileDescriptorProto(name=name, package="hostile", syntax="proto3")
    descriptor_set = FileDescriptorSet(file=[file]).SerializeToString()
    with pytest.raises(DefinitionError, match="cannot be the name of a definition"):
        generate(descriptor_set, [name])


@pytest.mark.parametrize("name", ["größe.proto", "日本/x.proto", "a b'c\".proto"])
def test_name_of_any_letters_is_taken(name: str) -> None:
    made = outputs(FileDescriptorProto(name=name, package="hostile", syntax="proto3"))
    assert f"# Generated by protoc-gen-kratos from {name}. DO NOT EDIT.\n" in made[0].content


@pytest.mark.slow
def test_output_imports_and_is_clean_for_type_checkers(
    python: Callable[..., str], type_errors: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    package = tmp_path / "hostile"
    package.mkdir()
    (package / "__init__.py").touch()
    written: list[str] = []

    @given(files())
    @settings(max_examples=150, derandomize=True, database=None, phases=[Phase.generate])
    def write(file: FileDescriptorProto) -> None:
        file.name = f"h{len(written)}.proto"
        for made in outputs(file):
            (package / made.path).write_text(made.content, encoding="utf-8")
            written.append(made.path)

    write()
    assert len(written) > 100
    program = """
import importlib, os, pathlib, hostile
import google.protobuf.internal.builder, kratos.errors, kratos.transport
for path in sorted(pathlib.Path(hostile.__path__[0]).glob("h*.py")):
    child = os.fork()  # each file registers the same names
    if not child:
        importlib.import_module(f"hostile.{path.stem}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, path
"""
    python(program, tmp_path)
    assert type_errors(package) == []
