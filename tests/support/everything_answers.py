"""What the conformance suite expects of a server's tools, resources and prompts, as it stands on the wire.

The names, texts and schemas are those that the suite's scenarios ask for.
"""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
WAV: Final = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="


def text(value: str) -> Json:
    """Return a block of text."""
    return {"type": "text", "text": value}


def embedded(uri: str, content: str, mime_type: str = "text/plain") -> Json:
    """Return a block that holds a text resource."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": content}}


def form(**properties: Json) -> Json:
    """Return a schema for elicitation; everything in it is required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def elicitation(message: str, schema: Json) -> Json:
    """Return a request for input from a person."""
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def sampling(prompt: str) -> Json:
    """Return a request for what a model says."""
    messages = [{"role": "user", "content": text(prompt)}]
    return {"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": 50}}


STRING: Final[Json] = {"type": "string"}
IMAGE: Final[Json] = {"type": "image", "data": PNG, "mimeType": "image/png"}
ROOTS: Final[Json] = {"method": "roots/list"}
NAME: Final = form(name=STRING)
CONFIRMATION: Final = form(ok={"type": "boolean"})

CONTENT: Final[dict[str, list[Json]]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [embedded("test://embedded-resource", "This is an embedded resource content.")],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
    ],
    "json_schema_2020_12_tool": [text("a tool with a rich schema")],
}
"""Tools that answer the same to everything."""

ELICITATIONS: Final[dict[str, Json]] = {
    "test_elicitation_sep1034_defaults": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": True},
        },
    },
    "test_elicitation_sep1330_enums": form(
        untitledSingle={"type": "string", "enum": ["option1", "option2", "option3"]},
        titledSingle={"type": "string", "oneOf": [{"const": "value1", "title": "First Option"}]},
        legacyEnum={"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
        titledMulti={"type": "array", "items": {"anyOf": [{"const": "value1", "title": "First Choice"}]}},
    ),
    "test_elicitation": form(response=STRING),
}
"""Tools of the handshake era that ask a person, and with what schema."""

RICH_SCHEMA: Final[Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": STRING, "city": STRING}}},
    "properties": {
        "name": STRING,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": STRING,
        "email": STRING,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

SCHEMAS: Final[dict[str, Json]] = {
    "json_schema_2020_12_tool": RICH_SCHEMA,
    "test_sampling": form(prompt=STRING),
    "test_elicitation": form(message=STRING),
    "test_x_mcp_header": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
}
"""The input schemas of the tools that take something."""

RESOURCES: Final[dict[str, Json]] = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}

TEMPLATE: Final = "test://template/{id}/data"

PROMPTS: Final[dict[str, list[str]]] = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
    "test_input_required_result_prompt": [],
}
"""The prompts, and which arguments each requires."""


def prompt_content(name: str, arguments: dict[str, str]) -> list[Json]:
    """Return the blocks of a prompt that needs no input from the client."""
    contents = {
        "test_simple_prompt": [text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments": [
            text(f"Prompt with arguments: arg1='{arguments.get('arg1')}', arg2='{arguments.get('arg2')}'")
        ],
        "test_prompt_with_embedded_resource": [
            embedded(arguments.get("resourceUri", ""), "Embedded resource content for testing."),
            text("Please process the embedded resource above."),
        ],
        "test_prompt_with_image": [IMAGE, text("Please analyze the image above.")],
    }
    return contents[name]
