"""The OpenAPI description as a page: every address with its types, an example for curl and a form to try it.

FastAPI's own pages load their scripts from another host, which a server without a connection cannot, and which the
Content-Security-Policy forbids. The forms here are sent by ``static/js/try.js``; without scripts they stay hidden.
"""

from __future__ import annotations

import json
import shlex
from html import escape
from typing import Any
from urllib.parse import quote

_HOST = "http://127.0.0.1:8000/"
"""The address in the examples; try.js puts the server's own in its place."""
_JSON = "application/json"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} {version}: HTTP interface</title>
<link rel="icon" href="static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/docs.css">
<script type="module" src="static/js/try.js"></script>
</head>
<body>
<main>
<h1>{title} {version}</h1>
<p>{description} For programs: <a href="openapi.json">openapi.json</a>.</p>
<ul>
{contents}
</ul>
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
    calls = [(path, method, call) for path, methods in description["paths"].items() for method, call in methods.items()]
    operations = [_operation(*call) for call in calls]
    # All texts are escaped: descriptions may hold <, > and &.
    contents = [
        f'<li><a href="#{_anchor(path, method)}">{escape(call.get("summary", path))}</a></li>'
        for path, method, call in calls
    ]
    schemas = [_schema(name, schema) for name, schema in description.get("components", {}).get("schemas", {}).items()]
    return _PAGE.format(
        title=escape(info["title"]),
        version=escape(info["version"]),
        description=escape(info.get("description", "")),
        contents="\n".join(contents),
        operations="\n".join(operations),
        schemas="\n".join(schemas),
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section id="{_anchor(path, method)}"><h2><code>{method.upper()} {escape(path)}</code></h2>',
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
    parts.append(_examples(path, method, operation))
    parts.append(_form(path, method, operation))
    return "\n".join([*parts, "</section>"])


def _anchor(path: str, method: str) -> str:
    # "post-v1-recognize": only letters and digits, so that the anchor needs no escapes in an address.
    words = "".join(c if c.isalnum() else " " for c in path).split()
    return "-".join([method, *words])


def _examples(path: str, method: str, operation: dict[str, Any]) -> str:
    """Commands that ask for this, and an answer where the description has one."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(_example(parameter)))
    address = f"curl {_HOST}{path.removeprefix('/')}"
    commands = [address]
    if method == "post":
        # One command for a picture and, where they are taken, one for strokes.
        commands = [f"{address} -H 'Content-Type: image/png' --data-binary @picture.png"]
        if _JSON in operation["requestBody"]["content"]:
            written = json.dumps(operation["requestBody"]["content"][_JSON]["example"])
            commands.append(f"{address} --json {shlex.quote(written)}")
    shown = f'<pre class="curl" data-host="{escape(_HOST)}">{escape(chr(10).join(commands))}</pre>'
    answer = operation["responses"].get("200", {}).get("content", {}).get(_JSON, {}).get("example")
    if answer:
        shown += f"<p>An answer:</p><pre>{escape(json.dumps(answer, ensure_ascii=False, indent=2))}</pre>"
    return shown


def _form(path: str, method: str, operation: dict[str, Any]) -> str:
    """Fields for the parameters and the body, which try.js sends."""
    fields = [
        f'<label>{escape(parameter["name"])} <input name="{escape(parameter["name"])}" data-in="{parameter["in"]}" '
        f'value="{escape(_example(parameter))}"></label>'
        for parameter in operation.get("parameters", [])
    ]
    if body := operation.get("requestBody"):
        fields.append('<label>a picture <input type="file" accept="image/*"></label>')
        if _JSON in body["content"]:
            example = json.dumps(body["content"][_JSON]["example"])
            fields.append(f'<label>or strokes, as JSON <textarea rows="3">{escape(example)}</textarea></label>')
    return (
        f'<form class="try" hidden data-method="{method.upper()}" data-path="{escape(path)}">'
        f"{''.join(fields)}<button>Try it</button><output></output></form>"
    )


def _example(parameter: dict[str, Any]) -> str:
    """A value to begin with: the description's example, else the default, else nothing."""
    schema = parameter["schema"]
    examples = parameter.get("examples") or schema.get("examples") or [schema.get("default", "")]
    return str(examples[0])


def _place(parameter: dict[str, Any]) -> str:
    name = parameter["name"]
    return f"?{name}=" if parameter["in"] == "query" else f"{{{name}}}"


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [(key, _kind(value), value.get("description", "")) for key, value in schema.get("properties", {}).items()]
    meaning = escape(schema.get("description", ""))
    table = _table(("field", "type", ""), rows)
    return f'<section><h3 id="{escape(name)}">{escape(name)}</h3><p>{meaning}</p>{table}</section>'


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    # pydantic writes optional values as anyOf [type, null].
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(_kind(option) for option in schema[key])
    kind = str(schema.get("type", ""))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object" and "properties" in schema:
        fields = ", ".join(f"{name}: {_kind(value)}" for name, value in schema["properties"].items())
        return f"{{{fields}}}"
    if "enum" in schema:
        kind = ", ".join(map(str, schema["enum"]))
    if "minimum" in schema and "maximum" in schema:
        kind += f" from {schema['minimum']} to {schema['maximum']}"
    if "default" in schema:
        kind += f", else {schema['default']}"
    return "file" if schema.get("format") == "binary" else kind


def _table(heads: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
