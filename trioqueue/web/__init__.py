"""Over HTTP: serving on Trio, metrics and health, the page."""

try:
    from ._serve import serve as serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"hypercorn", "starlette"}:
        raise
    msg = "trioqueue.web needs the extra 'web': pip install 'trioqueue[web]'"
    raise ImportError(msg) from None
