"""Runs the Python examples of README.md and docs/ as tests; the tests have their own conftest."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

# `<!--- skip: next -->` before a block leaves it out, and says so to the reader of the source.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/howto/*.md"],
).pytest()
