"""A server with everything that the conformance suite asks of one, in both eras of the protocol.

    python -P everything.py [--http]

It speaks on stdio, or over streamable HTTP, where it prints its address once it listens. (-P, because a neighbour bears
the name of a module of the standard library.) The protocol is that of the SDK's low-level server; only the answers are
ours.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

import mcp_types as types
import uvicorn
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

sys.path.insert(0, str(Path(__file__).parents[1]))  # started as a script, it has no other way to its neighbours

from support import everything_answers as answers
from support import everything_tasks as tasks
from support.everything_answers import Json

Context = ServerRequestContext[Any, Any]
Tool = Callable[[Context, Json], Awaitable[Json]]
Handler = Callable[[Context, Any], Awaitable[Json]]

_NAME: Final = "everything"
_CACHED: Final[tuple[CacheableMethod, ...]] = (
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
)
_bus: Final = InMemorySubscriptionBus()


def _said(value: str) -> Json:
    return {"content": [answers.text(value)]}


def _needs(state: str | None = None, **requests: Json) -> Json:
    """Return a result that asks the client for input first."""
    needed = {"resultType": "input_required", "inputRequests": requests}
    return needed if state is None else {**needed, "requestState": state}


def _inputs(ctx: Context) -> Json:
    return (ctx.params or {}).get("inputResponses") or {}


def _state(ctx: Context) -> str | None:
    return (ctx.params or {}).get("requestState")


def _capabilities(ctx: Context) -> Json:
    declared = ctx.session.client_capabilities
    return declared.model_dump(by_alias=True, exclude_none=True) if declared else {}


async def _log(ctx: Context, _: Json) -> Json:
    for step in ("started", "processing data", "completed"):
        await ctx.session.send_log_message("info", f"Tool execution {step}", related_request_id=ctx.request_id)  # pyright: ignore[reportDeprecated]
    return _said("logged three times")


async def _progress(ctx: Context, _: Json) -> Json:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
    return _said("reported three times")


async def _fail(_: Context, __: Json) -> Json:
    return {**_said("This tool intentionally returns an error for testing"), "isError": True}


async def _sample(ctx: Context, arguments: Json) -> Json:
    request = types.CreateMessageRequest.model_validate(answers.sampling(arguments["prompt"]))
    result = await ctx.session.send_request(request, types.CreateMessageResult)
    return _said(f"LLM response: {getattr(result.content, 'text', '')}")


async def _elicit(ctx: Context, arguments: Json) -> Json:
    schema = answers.ELICITATIONS[(ctx.params or {})["name"]]
    result = await ctx.session.elicit_form(arguments.get("message", "Please choose"), schema, ctx.request_id)
    return _said(f"User response: action={result.action}, content={json.dumps(result.content)}")


async def _echo_region(_: Context, arguments: Json) -> Json:
    return _said(f"region={arguments.get('region')}")


async def _require_sampling(ctx: Context, _: Json) -> Json:
    if "sampling" not in _capabilities(ctx):
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool requires the client 'sampling' capability",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return _said("the client can sample")


async def _change_tools(_: Context, __: Json) -> Json:
    await _bus.publish(ToolsListChanged())
    return _said("tool list changed")


async def _change_prompts(_: Context, __: Json) -> Json:
    await _bus.publish(PromptsListChanged())
    return _said("prompt list changed")


async def _ask_name(ctx: Context, _: Json) -> Json:
    answer = _inputs(ctx).get("user_name")
    if not isinstance(answer, dict):
        return _needs(user_name=answers.elicitation("What is your name?", answers.NAME))
    return _said(f"Hello, {cast('Json', answer).get('content', {}).get('name')}!")


async def _ask_model(ctx: Context, _: Json) -> Json:
    answer = _inputs(ctx).get("capital_question")
    if answer is None:
        return _needs(capital_question=answers.sampling("What is the capital of France?"))
    return _said(f"Model said: {answer['content']['text']}")


async def _ask_roots(ctx: Context, _: Json) -> Json:
    answer = _inputs(ctx).get("client_roots")
    return _needs(client_roots=answers.ROOTS) if answer is None else _said(f"{len(answer['roots'])} root(s)")


async def _keep_state(ctx: Context, _: Json) -> Json:
    if "confirm" not in _inputs(ctx):
        return _needs("kept", confirm=answers.elicitation("Please confirm", answers.CONFIRMATION))
    return _said(f"state-ok: {_state(ctx)}")


async def _ask_everything(ctx: Context, _: Json) -> Json:
    requests = {
        "user_name": answers.elicitation("What is your name?", answers.NAME),
        "greeting": answers.sampling("Generate a greeting"),
        "client_roots": answers.ROOTS,
    }
    return _said("All inputs received.") if requests.keys() <= _inputs(ctx).keys() else _needs("several", **requests)


async def _ask_twice(ctx: Context, _: Json) -> Json:
    inputs, state = _inputs(ctx), _state(ctx)
    if state == "asked for the name" and "step1" in inputs:
        return _needs("asked for the color", step2=answers.elicitation("Step 2: Your color?", answers.NAME))
    if state == "asked for the color" and "step2" in inputs:
        return _said("Both steps are done.")
    return _needs("asked for the name", step1=answers.elicitation("Step 1: Your name?", answers.NAME))


async def _ask_what_is_declared(ctx: Context, _: Json) -> Json:
    requests = {"sampling": answers.sampling("Say hello"), "elicitation": answers.elicitation("Name?", answers.NAME)}
    return _needs("declared", **{name: requests[name] for name in requests.keys() & _capabilities(ctx).keys()})


async def _reconnect(_: Context, __: Json) -> Json:
    return _said("nothing on stdio breaks off")


async def _greet(_: Context, arguments: Json) -> Json:
    return _said(f"Hello, {arguments.get('name')}!")


async def _make_task(ctx: Context, arguments: Json) -> Json:
    return tasks.call(ctx, (ctx.params or {})["name"], arguments)


async def _ask_then_make_task(ctx: Context, _: Json) -> Json:
    answer = _inputs(ctx).get("user_name")
    if answer is None:
        return _needs(user_name=answers.elicitation("What is your name?", answers.NAME))
    return tasks.completed(f"Hello, {answer['content']['name']}!")


_TOOLS: Final[dict[str, Tool]] = {
    "test_reconnection": _reconnect,
    "greet": _greet,
    **dict.fromkeys(tasks.TOOLS, _make_task),
    "test_tool_with_task": _ask_then_make_task,
    "test_tool_with_logging": _log,
    "test_logging_tool": _log,
    "test_tool_with_progress": _progress,
    "test_error_handling": _fail,
    "test_sampling": _sample,
    **dict.fromkeys(answers.ELICITATIONS, _elicit),
    "test_x_mcp_header": _echo_region,
    "test_missing_capability": _require_sampling,
    "test_trigger_tool_change": _change_tools,
    "test_trigger_prompt_change": _change_prompts,
    "test_streaming_elicitation": _ask_name,
    "test_input_required_result_elicitation": _ask_name,
    "test_input_required_result_sampling": _ask_model,
    "test_input_required_result_list_roots": _ask_roots,
    "test_input_required_result_request_state": _keep_state,
    "test_input_required_result_tampered_state": _keep_state,
    "test_input_required_result_multiple_inputs": _ask_everything,
    "test_input_required_result_multi_round": _ask_twice,
    "test_input_required_result_capabilities": _ask_what_is_declared,
}


async def _list_tools(_: Context, __: types.PaginatedRequestParams) -> Json:
    tools = [
        {"name": name, "description": f"Tests {name}", "inputSchema": answers.SCHEMAS.get(name, {"type": "object"})}
        for name in (*answers.CONTENT, *_TOOLS)
    ]
    return {"tools": tools}


async def _call_tool(ctx: Context, params: types.CallToolRequestParams) -> Json:
    if params.name in answers.CONTENT:
        return {"content": answers.CONTENT[params.name]}
    if params.name not in _TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    return await _TOOLS[params.name](ctx, params.arguments or {})


async def _list_resources(_: Context, __: types.PaginatedRequestParams) -> Json:
    described = answers.RESOURCES.items()
    return {"resources": [{"uri": uri, "name": uri, "mimeType": content["mimeType"]} for uri, content in described]}


async def _list_templates(_: Context, __: types.PaginatedRequestParams) -> Json:
    template = {"uriTemplate": answers.TEMPLATE, "name": "template", "mimeType": "application/json"}
    return {"resourceTemplates": [template]}


async def _read_resource(_: Context, params: types.ReadResourceRequestParams) -> Json:
    before, after = answers.TEMPLATE.split("{id}")
    content = answers.RESOURCES.get(params.uri)
    if content is None and params.uri.startswith(before) and params.uri.endswith(after):
        number = params.uri.removeprefix(before).removesuffix(after)
        content = {"mimeType": "application/json", "text": json.dumps({"id": number, "templateTest": True})}
    if content is None:
        raise MCPError(types.INVALID_PARAMS, "Unknown resource", {"uri": params.uri})
    return {"contents": [{"uri": params.uri, **content}]}


async def _list_prompts(_: Context, __: types.PaginatedRequestParams) -> Json:
    prompts = [
        {"name": name, "description": f"Tests {name}", "arguments": [{"name": n, "required": True} for n in needed]}
        for name, needed in answers.PROMPTS.items()
    ]
    return {"prompts": prompts}


async def _get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> Json:
    if params.name == "test_input_required_result_prompt":
        answer = _inputs(ctx).get("user_context")
        if answer is None:
            return _needs(user_context=answers.elicitation("What context?", answers.form(context=answers.STRING)))
        content = [answers.text(f"Use the following context: {answer['content'].get('context')}")]
    elif params.name in answers.PROMPTS:
        content = answers.prompt_content(params.name, params.arguments or {})
    else:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return {"messages": [{"role": "user", "content": block} for block in content]}


async def _complete(_: Context, __: types.CompleteRequestParams) -> Json:
    return {"completion": {"values": ["paris", "park"], "total": 2, "hasMore": False}}


async def _accept(_: Context, __: types.RequestParams) -> Json:
    return {}


_HANDLERS: Final[dict[str, tuple[type[types.RequestParams], Handler]]] = {
    "tools/list": (types.PaginatedRequestParams, _list_tools),
    "tools/call": (types.CallToolRequestParams, _call_tool),
    "resources/list": (types.PaginatedRequestParams, _list_resources),
    "resources/templates/list": (types.PaginatedRequestParams, _list_templates),
    "resources/read": (types.ReadResourceRequestParams, _read_resource),
    "resources/subscribe": (types.SubscribeRequestParams, _accept),
    "resources/unsubscribe": (types.UnsubscribeRequestParams, _accept),
    "prompts/list": (types.PaginatedRequestParams, _list_prompts),
    "prompts/get": (types.GetPromptRequestParams, _get_prompt),
    "completion/complete": (types.CompleteRequestParams, _complete),
    "logging/setLevel": (types.SetLevelRequestParams, _accept),
    "tasks/get": (tasks.TaskParams, tasks.get),
    "tasks/update": (tasks.TaskParams, tasks.update),
    "tasks/cancel": (tasks.TaskParams, tasks.cancel),
}


def _typed(handler: Handler) -> Handler:
    """Let a result say of what type it is, in the era in which results do."""

    async def handle(ctx: Context, params: Any) -> Json:
        result = await handler(ctx, params)
        return {"resultType": "complete", **result} if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS else result

    return handle


def _server() -> Server:
    server = Server(
        _NAME,
        version="1",
        instructions="Something of everything.",
        cache_hints=dict.fromkeys(_CACHED, CacheHint(ttl_ms=1000, scope="public")),
        on_subscriptions_listen=ListenHandler(_bus),
    )
    server.extensions[tasks.EXTENSION] = {}
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=_NAME))
    for method, (params, handler) in _HANDLERS.items():
        server.add_request_handler(method, params, _typed(handler))
    return server


async def _serve() -> None:
    server = _server()
    changes = NotificationOptions(tools_changed=True, prompts_changed=True, resources_changed=True)
    async with stdio_server() as streams:
        await server.run(*streams, server.create_initialization_options(changes))


def _serve_http() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(_server().streamable_http_app(), log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    if "--http" in sys.argv:
        _serve_http()
    else:
        asyncio.run(_serve())
