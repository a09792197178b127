"""Traffic of two peers who know the protocol and mean no good: messages of every method, and what is nearly one.

Everything is drawn from one source of chance, so that a seed stands for the same traffic each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

from support.frames import INVALID, PASSED, UNREADABLE

TOKEN: Final = "ghp_" + "a" * 36
TOOLS: Final = ("r", "w", "x", "a", "")
_CORPUS: Final = [line for line in (*UNREADABLE.values(), *INVALID.values(), *PASSED.values()) if len(line) < 1000]
_IDS: Final = (0, 1, 2, 3, "a", "aegis-1", "aegis-2")
_ODD_IDS: Final = ("0", 2**63, -1, 1.0, None, True)
_REQUESTS: Final = (
    *("tools/call", "tools/call", "tools/list", "ping", "resources/read", "resources/list", "resources/templates/list"),
    *("prompts/get", "prompts/list", "completion/complete", "logging/setLevel", "x/y", "initialize", "server/discover"),
    *("roots/list", "sampling/createMessage", "elicitation/create", "tasks/get", "tasks/update", "tasks/cancel"),
    *("tasks/result", "tasks/list", "subscriptions/listen", "resources/subscribe", "resources/unsubscribe"),
)
_NOTIFICATIONS: Final = ("cancelled", "progress", "initialized", "tools/list_changed", "tasks/status", "message")
_NAMES: Final = (
    *("name", "uri", "mode", "url", "tools", "id", "arguments", "_meta", "method", "params", "requestState", "task"),
    *("taskId", "content", "text", "data", "type", "isError", "error", "code", "elicitations", "annotations", "é"),
    *("readOnlyHint", "inputSchema", "resultType", "action", "password"),
)
_LEAVES: Final[tuple[object, ...]] = (
    *(None, True, False, 0, 1, -1, 1.5, 1e308, 2**53, 2**64, "", "a", "\0", "\ud800", TOKEN, "x" * 50),
    *("https://host.example/p?token=abcdefgh", "aegis-consent:x", [], {}),
)
_HELLO: Final = b'{"jsonrpc":"2.0","id":"a","method":"initialize","params":{"capabilities":{"elicitation":{}}}}'
_PIECES: Final = (
    *(b'"id":01', b'"id":-0', b'"id":1e5', b'"id":1', b'"id":"\\ud800"', b'"result":{}', b'"error":{}', b","),
    *(b"NaN", b"\xff", b"\\ud800", b"9" * 30, b"9" * 5000, b"\r", b"\0", b"- 1", b"-", b"{", b"}", b"[", b'"'),
    *(b"\\", b".0", b"0", b"E1", b"[" * 200 + b"]" * 200),
)


class Traffic:
    """Lines that somebody could send."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)

    def turns(self) -> list[tuple[bool, list[bytes]]]:
        """Return who sends, true for the host, and what, thirty times; mostly the host can be asked."""
        first = [(True, [_HELLO])] if self._happens(0.7) else []
        lines = ([self.line() for _ in range(self._chance.randrange(1, 8))] for _ in range(30))
        return first + [(self._happens(0.5), some) for some in lines]

    def line(self) -> bytes:
        """Return a message, or one that something has happened to."""
        line = self._pick(_CORPUS) if self._happens(0.05) else self._written()
        for _ in range(self._chance.randrange(1, 4) if self._happens(0.2) else 0):
            places = [at for at, byte in enumerate(line) if byte in b'{,:["}0123456789'] or [0]
            start = self._pick(places) + self._chance.randrange(2)
            end = start + self._pick((0, 0, 1, 2, 5, 12))
            line = line[:start] + self._pick((b"", *_PIECES, line[start:end] * 2)) + line[self._pick((start, end)) :]
        return line.replace(b"\n", b" ")

    def _happens(self, how_often: float) -> bool:
        return self._chance.random() < how_often

    def _pick(self, choices: Any) -> Any:
        return self._chance.choice(choices)

    def _id(self) -> object:
        return self._pick(_IDS if self._happens(0.9) else _ODD_IDS)

    def _written(self) -> bytes:
        message = self._message()
        members = [*message.items()]
        self._chance.shuffle(members)
        whole: object = self._pick(([message], message.get("params"))) if self._happens(0.05) else dict(members)
        return json.dumps(whole, separators=self._pick(((",", ":"), (", ", ": ")))).encode()

    def _message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self._id()}
        match self._chance.randrange(10):
            case 0 | 1 | 2 | 3:
                message |= {"method": self._pick(_REQUESTS), "params": self._often(self._params)}
            case 4:
                method = f"notifications/{self._pick(_NOTIFICATIONS)}"
                message = {"jsonrpc": "2.0", "method": method, "params": self._often(self._params)}
            case 5:
                message["error"] = self._often(self._error)
            case _:
                message["result"] = self._often(self._result)
        return message

    def _often(self, make: Callable[[], object]) -> object:
        return make() if self._happens(0.8) else self._value()

    def _value(self, depth: int = 0) -> object:
        kind = self._chance.randrange(12)
        if depth > 3 or kind < 5:
            return self._pick(_LEAVES)
        inner = [self._value(depth + 1) for _ in range(self._chance.randrange(4))]
        return inner if kind < 8 else {self._pick(_NAMES): one for one in inner}

    def _some(self, how_often: float, **members: Callable[[], object]) -> dict[str, object]:
        return {name: self._often(make) for name, make in members.items() if self._happens(how_often)}

    def _meta(self) -> object:
        modern = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
        modern |= {"io.modelcontextprotocol/clientCapabilities": self._often(self._capabilities)}
        trace = {"traceparent": self._pick(("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "x"))}
        return self._pick((modern, trace, {"progressToken": self._value()}))

    def _capabilities(self) -> object:
        return self._pick(({"elicitation": {}}, {"elicitation": {"url": {}}}, {}))

    def _params(self) -> dict[str, object]:
        name: dict[str, object] = {"name": self._pick(TOOLS)} if self._happens(0.8) else {}
        return name | self._some(
            0.2,
            uri=lambda: self._pick(("file:///x", "HTTP://host.example/%2e%2e/x", "")),
            arguments=lambda: {"n": self._pick((1, 2, 3, "1"))},
            _meta=self._meta,
            requestId=self._id,
            cursor=self._value,
            inputResponses=lambda: {self._pick(("aegis", "0")): {"action": self._pick(("accept", "decline", "x"))}},
            requestState=lambda: self._pick(("s", "aegis-consent:x")),
            taskId=lambda: "t",
            capabilities=self._capabilities,
            clientInfo=lambda: {"name": "h", "version": self._value()},
            ref=lambda: self._pick(({"type": "ref/prompt", "name": "p"}, {"type": "ref/resource", "uri": "x"})),
            inputRequests=self._input_requests,
            notifications=self._value,
        )

    def _result(self) -> dict[str, object]:
        return self._some(
            0.25,
            tools=lambda: [{"name": self._pick(TOOLS), **self._definition()} for _ in range(self._chance.randrange(4))],
            prompts=lambda: [{"name": self._pick(TOOLS)}, self._value()],
            resources=lambda: [{"uri": "file:///x", "name": self._value()}, self._value()],
            resourceTemplates=lambda: [{"uriTemplate": "file:///{x}"}, self._value()],
            content=lambda: [{"type": "text", "text": self._pick((TOKEN, "z" * 5000, "z"))}, self._value()],
            structuredContent=self._value,
            isError=self._value,
            inputRequests=self._input_requests,
            requestState=lambda: "s",
            resultType=lambda: self._pick(("input_required", "complete", "task")),
            task=lambda: {"taskId": "t"},
            taskId=lambda: "t",
            instructions=lambda: "hi",
            protocolVersion=lambda: self._pick(("2025-11-25", "2026-07-28")),
            cacheScope=self._value,
            nextCursor=self._value,
            action=lambda: self._pick(("accept", "decline", "cancel")),
        )

    def _definition(self) -> dict[str, object]:
        hint = {"readOnlyHint": True}
        return self._some(0.5, inputSchema=self._value, annotations=lambda: hint, description=self._value)

    def _input_requests(self) -> dict[str, object]:
        methods = ("sampling/createMessage", "elicitation/create", "roots/list", 5)
        count = self._pick((1, 2, 101))
        return {str(at): {"method": self._pick(methods), "params": self._value()} for at in range(count)}

    def _error(self) -> dict[str, object]:
        asked = {"elicitations": [self._value(), {"mode": "url", "url": "https://host.example"}]}
        return {"code": self._pick((-32042, -32022, -1)), **self._some(0.7, message=self._value, data=lambda: asked)}
