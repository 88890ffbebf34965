"""Where the files of the durable cases lie: on a real disk, or FULL would cost nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def directory() -> Iterator[Path]:
    """A new directory that is gone afterwards; under TMPDIR, or where temporary files go."""
    with tempfile.TemporaryDirectory(prefix="trioqueue-bench-") as made:
        yield Path(made)
