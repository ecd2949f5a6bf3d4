"""Generate Python packages from protobuf definitions: messages, services, clients, errors."""

from protoc_gen_kratos.generator import (
    Assumption,
    GeneratedFile,
    Result,
    generate,
    provided_elsewhere,
)
from protoc_gen_kratos.options import Options, ParameterError
from protoc_gen_kratos.problems import DefinitionError, Problem

__all__ = [
    "Assumption",
    "DefinitionError",
    "GeneratedFile",
    "Options",
    "ParameterError",
    "Problem",
    "Result",
    "generate",
    "provided_elsewhere",
]
