"""The site: the pages of this folder and the results, as they are linked in the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

project = "spos"
html_title = "spos"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# The source folder is the repository: the same links lead to results and examples on the site and
# in a repository browser.
root_doc = "docs/index"
include_patterns = ["docs/**", "benchmarks/results/**.md", "CHANGELOG.md"]
exclude_patterns = [".*", "build", "data", "runs"]
html_extra_path = ["_static/index.html"]
myst_heading_anchors = 3
highlight_language = "text"
# Types stand in the docstrings.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
add_module_names = False
html_show_copyright = False
