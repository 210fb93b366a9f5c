"""Render the chart's README: chart_readme.head.md, and a table of the values from values.schema.json and values.yaml.

`make generate` runs it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HEAD = Path(__file__).with_name("chart_readme.head.md")
CHART = Path(__file__).parents[1] / "charts" / "meshca"
README = CHART / "README.md"

Json = dict[str, Any]


def main() -> None:
    """Write it."""
    README.write_text(rendered(), encoding="utf-8")


def rendered() -> str:
    """Return its text."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    rows = (f"| `{path}` | {_default(path, defaults)} | {text} |" for path, text in values(schema) if path != "global")
    lines = ["| Value | Default | |", "| --- | --- | --- |", *rows]
    return HEAD.read_text("utf-8") + "\n".join(lines) + "\n"


def values(schema: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the description of every value: `image.tag`, `meshCAs[].name`."""
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        if "description" in value and not _is_described_by_its_parts(value):
            yield here, _sentence(value)
        if _is_described_by_its_parts(value):
            yield from values(value, here)
        yield from values(value.get("items", {}), f"{here}[]")


def _sentence(value: Json) -> str:
    text: str = value["description"]
    choices = [f"`{choice}`" for choice in value.get("enum", []) if choice]
    text += f" One of {', '.join(choices)}." if choices else ""
    return text.replace("|", "\\|")


def _is_described_by_its_parts(value: Json) -> bool:
    return any("description" in part for part in value.get("properties", {}).values())


def _default(path: str, defaults: Json) -> str:
    if "[]" in path:
        return ""
    value: Any = defaults
    for name in path.split("."):
        value = value[name]
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    main()
