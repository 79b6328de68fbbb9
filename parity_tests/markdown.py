"""The Python blocks of the project's pages, so that tests can run what readers will copy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Page:
    """A page and the frameworks that each of its headings' code needs."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def sections(self) -> list[tuple[str, list[str]]]:
        """Every heading that has Python blocks, with them; what a block defines, later ones of its heading see."""
        found: list[tuple[str, list[str]]] = []
        for part in re.split(r"^(?=#+ )", self.text, flags=re.MULTILINE):
            blocks = re.findall(r"^```python\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
            if blocks:
                found.append((f"{len(found) + 1} {part.splitlines()[0].strip('# ')}", blocks))
        return found


def frameworks(code: str) -> list[str]:
    """What a piece of code imports."""
    needs = {"torch": r"\b(torch|torchreg)\b", "jax": r"\b(jax|jaxreg|flax|optax)\b"}
    return [name for name, pattern in needs.items() if re.search(rf"^\s*(import|from) .*{pattern}", code, re.MULTILINE)]


def pages() -> list[Page]:
    """README and the pages of ``docs/``: there in a checkout, not beside an installed wheel."""
    if not (ROOT / "pyproject.toml").exists():
        return []
    written = (path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts)
    return [Page(path) for path in (ROOT / "README.md", *written) if path.exists()]
