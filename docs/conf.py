"""How `docs/` becomes a site: `sphinx-build -W -n docs docs/_build/html`, without a network.

The pages are Markdown that reads as well on a forge, and whose Python blocks run as tests. Those
under `api/` are made from `reference.md` and the docstrings, see `_ext/public_names.py`.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import trioqueue  # noqa: E402 - of this checkout, wherever it is built

project = "trioqueue"
author = "trioqueue contributors"
copyright = author
version = release = trioqueue.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinxcontrib_trio",  # `await` and `async with` before what needs them
    "myst_parser",
    "public_names",
]
exclude_patterns = ["_build", "_ext"]
nitpicky = True

# Markdown: links are checked by heading, as a forge has them.
myst_heading_anchors = 4
highlight_language = "text"  # of a block that does not say what it is: often output
myst_enable_extensions = ["colon_fence", "deflist"]

# Docstrings: reStructuredText with `names` in single backticks, links where a name is public.
default_role = "name"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_use_legacy_class_based = True  # sphinxcontrib-trio extends these classes
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"trioqueue {release}"
html_static_path = ["_static"]
html_css_files = ["trioqueue.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "native"
