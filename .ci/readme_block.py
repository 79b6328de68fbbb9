"""Print the one ```bash block of a Markdown file that stands under `<!-- ci: NAME -->`."""

import re
import sys
from pathlib import Path


def block(text: str, name: str) -> str:
    """The commands of the block called ``name``; a ValueError unless there is exactly one."""
    found = re.findall(rf"^<!-- ci: {re.escape(name)} -->\s*\n```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"blocks of bash under '<!-- ci: {name} -->' must be exactly one; got {len(found)}.")
    return found[0]


if __name__ == "__main__":
    path, name = sys.argv[1:]
    sys.stdout.write(block(Path(path).read_text(encoding="utf-8"), name))
