"""The configuration: read, checked, merged, and followed as it changes."""

from kratos_gateway.config.check import Problem, problems
from kratos_gateway.config.configuration import Apply, Configuration
from kratos_gateway.config.documents import Document, Documents, Reader
from kratos_gateway.config.file import FileReader
from kratos_gateway.config.load import Parsed, parse, parse_priority, read
from kratos_gateway.config.oddity import Oddity
from kratos_gateway.config.priority import merge
from kratos_gateway.config.source import SourceReader
from kratos_gateway.config.title import title_of

__all__ = [
    "Apply",
    "Configuration",
    "Document",
    "Documents",
    "FileReader",
    "Oddity",
    "Parsed",
    "Problem",
    "Reader",
    "SourceReader",
    "merge",
    "parse",
    "parse_priority",
    "problems",
    "read",
    "title_of",
]
