"""What the site shows otherwise than a checkout would."""

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed")


def test_a_bar_in_the_code_of_a_table_is_shown_without_its_backslash(tool):
    cell = r"<table><tr><td><code>&lt;\|box\|&gt;</code></td></tr></table>"
    shown = tool("docs_tree").on_page_content(rf"<code>a\|b</code>{cell}")
    assert shown == r"<code>a\|b</code><table><tr><td><code>&lt;|box|&gt;</code></td></tr></table>"
