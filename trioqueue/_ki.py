"""Protection of our own code from KeyboardInterrupt, which Python raises between any two lines.

"No await in between" makes a step atomic for Trio, not for Ctrl-C. A protected class is atomic for
both: Trio then delivers the interrupt at the main task's next checkpoint. It costs nothing at run
time (Trio marks code objects and looks at the frames only when a signal arrives).
"""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, cast

from trio.lowlevel import enable_ki_protection

_T = TypeVar("_T")


def protected(cls: type[_T]) -> type[_T]:
    """Class decorator: no method of ``cls`` is ever interrupted in the middle by Ctrl-C.

    A whole class at a time, so that no method can be forgotten. User code must be called through a
    frame with ``trio.lowlevel.disable_ki_protection``, or it would inherit the protection.
    """
    for name, value in vars(cls).items():
        if isinstance(value, property):
            for accessor in (value.fget, value.fset):
                if accessor is not None:
                    enable_ki_protection(accessor)
        elif isinstance(value, (staticmethod, classmethod)):
            function: Any = cast("Any", value).__func__
            enable_ki_protection(function)
        elif inspect.isfunction(value) and name != "__init_subclass__":
            enable_ki_protection(value)
    return cls
