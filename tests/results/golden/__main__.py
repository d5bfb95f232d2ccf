"""Writes the facts of new golden files beside them."""

import json
import sys
from pathlib import Path

from tests.results.golden.facts import facts

for name in sys.argv[1:]:
    text = json.dumps(facts(Path(name)), ensure_ascii=False, indent=1)
    Path(name).with_suffix(".json").write_text(text + "\n")
