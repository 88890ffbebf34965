"""Checks that the wheel holds every file of trioqueue/ and nothing else but its metadata."""

import sys
import zipfile
from pathlib import Path


def main(wheel: str) -> int:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    code = {name for name in shipped if name.startswith("trioqueue/")}
    foreign = {name for name in shipped - code if ".dist-info/" not in name}
    expected = {
        path.as_posix()
        for path in Path("trioqueue").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for label, names in (
        ("missing from the wheel", (expected | {"trioqueue/py.typed"}) - code),
        ("unknown in the wheel", (code - expected) | foreign),
    ):
        if names:
            print(f"{label}: {', '.join(sorted(names))}")
            return 1
    print(f"package: {len(code)} files in {Path(wheel).name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
