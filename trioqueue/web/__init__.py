"""Over HTTP: serving on Trio, metrics and health, the page."""

from typing import TYPE_CHECKING, Any

try:
    from ._app import WebApp as WebApp
    from ._app import open_app as open_app
    from ._auth import Auth as Auth
    from ._auth import basic_auth as basic_auth
    from ._auth import everybody as everybody
    from ._serve import serve as serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"hypercorn", "msgspec", "starlette"}:
        raise
    msg = "trioqueue.web needs the extra 'web': pip install 'trioqueue[web]'"
    raise ImportError(msg) from None

if TYPE_CHECKING:
    from ._operations import operations_app as operations_app
    from ._operations import operations_routes as operations_routes


def __getattr__(name: str) -> Any:
    """What needs one more extra is imported at its first use."""
    if name not in {"operations_app", "operations_routes"}:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        from . import _operations
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        msg = f"trioqueue.web.{name} needs the extra 'metrics': pip install 'trioqueue[metrics]'"
        raise ImportError(msg) from None
    return getattr(_operations, name)
