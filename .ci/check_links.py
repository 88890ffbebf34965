"""Checks that every relative link and anchor in the given Markdown files leads somewhere."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)[`~]*\s*?$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(`+)(?:(?!\1).)+?\1")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)[\"']")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
EXPLICIT = re.compile(r"<[^>]+\b(?:id|name)=[\"']([^\"']+)[\"']")


def anchors(text: str) -> set[str]:
    """The anchors that a forge gives to the headings, and those written out in HTML."""
    text = FENCE.sub("", text)
    found: set[str] = set(EXPLICIT.findall(text))
    for heading in HEADING.findall(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        unique, number = slug, 0
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def check(page: Path, root: Path) -> tuple[int, list[str]]:
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    links = [*LINK.findall(text), *REFERENCE.findall(text), *HTML.findall(text)]
    local = [link for link in links if not re.match(r"[a-z][a-z0-9+.-]*:|//", link, re.IGNORECASE)]
    problems = []
    for link in local:
        path, _, anchor = unquote(link).partition("#")
        base = root if path.startswith("/") else page.parent
        target = (base / path.lstrip("/")).resolve() if path else page
        if not target.exists():
            problems.append(f"{page}: {link}: no such file")
        elif not target.is_relative_to(root):
            problems.append(f"{page}: {link}: leads out of the repository")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8")):
            problems.append(f"{page}: {link}: no such heading")
    return len(local), problems


def main(names: list[str]) -> int:
    root = Path.cwd().resolve()
    results = [check(Path(name).resolve(), root) for name in names]
    problems = [problem for _, found in results for problem in found]
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"links: {sum(n for n, _ in results)} in {len(names)} files, {len(problems)} broken")
    return 1 if problems or not names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
