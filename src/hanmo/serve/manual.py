"""The OpenAPI description as a page without scripts, so that nothing has to be fetched and nothing can be run."""

from __future__ import annotations

from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} {version}: HTTP interface</title>
<link rel="stylesheet" href="static/docs.css">
</head>
<body>
<main>
<h1>{title} {version}</h1>
<p>{description} For programs: <a href="openapi.json">openapi.json</a>.</p>
{operations}
<h2>Shapes</h2>
{schemas}
</main>
</body>
</html>
"""


def render(description: dict[str, Any]) -> str:
    """The page of an OpenAPI description."""
    info = description["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [_schema(name, schema) for name, schema in description.get("components", {}).get("schemas", {}).items()]
    return _PAGE.format(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description=escape(info.get("description", "")),
        operations="\n".join(operations),
        schemas="\n".join(schemas),
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{escape(operation.get('summary', ''))}. {escape(operation.get('description', ''))}</p>",
    ]
    if parameters := operation.get("parameters"):
        rows = [(_place(p), _kind(p["schema"]), p.get("description", "")) for p in parameters]
        parts.append(_table(("address", "type", ""), rows))
    if body := operation.get("requestBody"):
        rows = [(kind, _kind(content.get("schema", {})), "") for kind, content in body["content"].items()]
        parts.append(_table(("body", "type", ""), rows))
    answers = []
    for status, answer in operation["responses"].items():
        kinds = [_kind(content.get("schema", {})) for content in answer.get("content", {}).values()]
        answers.append((status, ", ".join(filter(None, kinds)), answer.get("description", "")))
    parts.append(_table(("status", "type", ""), answers))
    return "\n".join([*parts, "</section>"])


def _place(parameter: dict[str, Any]) -> str:
    name = parameter["name"]
    return f"?{name}=" if parameter["in"] == "query" else f"{{{name}}}"


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [(key, _kind(value), value.get("description", "")) for key, value in schema.get("properties", {}).items()]
    told = escape(schema.get("description", ""))
    table = _table(("field", "type", ""), rows)
    return f'<section><h3 id="{escape(name)}">{escape(name)}</h3><p>{told}</p>{table}</section>'


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(option) for option in schema[key])
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and "properties" in schema:
        fields = ", ".join(f"{name}: {_kind(value)}" for name, value in schema["properties"].items())
        return f"{{{fields}}}"
    if "minimum" in schema and "maximum" in schema:
        kind += f" from {schema['minimum']} to {schema['maximum']}"
    if "default" in schema:
        kind += f", else {schema['default']}"
    return "file" if schema.get("format") == "binary" else kind


def _table(heads: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
