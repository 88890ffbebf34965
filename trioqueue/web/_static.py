"""The files of the page, from memory: what is not in a small dictionary cannot be asked for."""

from __future__ import annotations

import hashlib
import html
import re
from pathlib import Path
from typing import Final, NamedTuple, final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ._text import refusal

_FOLDER: Final = Path(__file__).parent / "static"

#: What is replaced in the page.
_WORD: Final = re.compile(r"\{\{(\w+)\}\}")

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


class _File(NamedTuple):
    body: bytes
    type: str
    tag: str


@final
class Files:
    """The page and its files, read once."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        for path in sorted(_FOLDER.rglob("*")):
            kind = _TYPES.get(path.suffix)
            if kind is not None and path.is_file():
                body = path.read_bytes()
                tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
                self._files[path.relative_to(_FOLDER).as_posix()] = _File(body, kind, tag)
        self._page = self._files.pop("index.html").body.decode()

    def page(self, **words: str) -> Response:
        """The page, with ``{{name}}`` replaced by words, as text."""
        return HTMLResponse(_WORD.sub(lambda found: html.escape(words[found[1]]), self._page))

    async def get(self, request: Request) -> Response:
        """One file. The browser asks each time whether it is still the same."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return refusal(404, "there is no such file")
        headers = {"cache-control": "no-cache", "etag": file.tag}
        if file.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.type)
