"""Writes ``config.schema.json``, the JSON Schema of config files, from the classes of the package.

Usage: python docs/make_schema.py [torchreg | jaxreg]; both packages make the same.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "torchreg"
    schema = import_module(f"{name}.config").schema()
    path = Path(__file__).with_name("config.schema.json")
    path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path}: {len(schema['$defs'])} definitions")
