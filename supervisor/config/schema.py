"""JSON Schema of the configuration, for editors: `python -m supervisor.config.schema`."""

import json
import sys

from supervisor.config.model import Configuration


def schema_text() -> str:
    """The content of `etc/supervisor.schema.json`."""
    schema = Configuration.model_json_schema()
    schema["title"] = "Glyph Supervisor"
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
