"""``python -m trioqueue`` is the command ``trioqueue``."""

from .cli import main

if __name__ == "__main__":
    main()
