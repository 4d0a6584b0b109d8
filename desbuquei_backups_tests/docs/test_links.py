"""Pages that lead somewhere: a link that is dead is found by whoever has the least time."""

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def _anchors(path: Path) -> set[str]:
    """As the usual renderers make them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_something(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in _anchors(there), anchor


def test_what_the_architecture_names_is_there() -> None:
    text = (_ROOT / "docs/architecture.md").read_text()
    for name in re.findall(r"`([a-z_]+/(?:[a-z_]+\.(?:py|toml))?)`", text):
        assert (_ROOT / "desbuquei_backups" / name).exists(), name


def test_every_page_is_found_from_the_readme() -> None:
    text = (_ROOT / "README.md").read_text()
    assert [page.name for page in _PAGES[1:] if f"docs/{page.name}" not in text] == []
