"""Sphinx configuration: `python -m sphinx -W -b html docs docs/_build`, with `twinreg[all,docs]` installed."""

from importlib.metadata import version as installed_version

project = "twinreg"
author = "The twinreg maintainers"
copyright = author
version = release = installed_version("twinreg")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # else the fields of a NamedTuple are described twice
napoleon_custom_sections = ["Shapes", "Gradient", "Source"]

html_theme = "furo"
html_title = f"twinreg {release}"
