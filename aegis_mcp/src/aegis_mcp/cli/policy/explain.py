"""`aegis-mcp policy explain`: what policy says to one request, and how it comes to that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from aegis_mcp import frame
from aegis_mcp.cli.options import policy_option
from aegis_mcp.cli.output import colour_of, format_option, print_json, print_line, refusing
from aegis_mcp.decision import AccessFrom, Effect
from aegis_mcp.errors import ConfigError, MalformedFrame
from aegis_mcp.method import MethodClass, classify
from aegis_mcp.policy import explanation, loader
from aegis_mcp.policy.explanation import Explanation, Part, Step, Turn
from aegis_mcp.policy.model import Policy
from aegis_mcp.policy.question import Asker, Question

_FROM: Final = {
    AccessFrom.POLICY: "the policy classifies the tool",
    AccessFrom.ANNOTATION: "the server's own readOnlyHint, which the policy trusts",
}
_BY_METHOD: Final = {
    MethodClass.TOOL_CALL: "nothing classifies the tool",
    MethodClass.CONTINUATION: "nothing classifies the tool",
    MethodClass.HOUSEKEEPING: "the method keeps the session",
    MethodClass.READ: "the method is one that looks",
    MethodClass.CLIENT_REQUEST: "the upstream asks the host",
    MethodClass.UNKNOWN: "no revision of the protocol names the method",
}


@click.command()
@policy_option
@click.option("--server", required=True, metavar="NAME", help="The upstream, as policy and log call it.")
@click.option("--tool", metavar="NAME", help="The tool that is called.")
@click.option("--uri", metavar="URI", help="The resource that is asked for.")
@click.option("--prompt", metavar="NAME", help="The prompt that is asked for.")
@click.option("--method", metavar="NAME", help="The method, where no tool, resource or prompt says it.")
@click.option("--args", "arguments", metavar="JSON", default="{}", help="The arguments, as one JSON object.")
@click.option(
    "--read-only-hint", type=click.BOOL, metavar="true|false", help="What the server's listing says of the tool."
)
@click.option(
    "--from",
    "asker",
    type=click.Choice([one.value for one in Asker]),
    default="host",
    show_default=True,
    help="Who asks.",
)
@format_option
def explain(policy: Path | None, arguments: str, asker: str, form: str, **asked: Any) -> None:
    """Say what policy decides on a request, and why: every rule in order, and what of its match fits.

    Nothing is asked of a server. The exit status is 0 whatever is decided, and 2 for wrong usage or a policy with
    mistakes.

    Example: aegis-mcp policy explain --server files --tool write_file --args '{"path": "/home/me/work/a.txt"}'
    """
    with refusing(form, policy):
        question = Question(**asked, arguments=_object(arguments), asker=Asker(asker))
        loaded = loader.chosen(policy)
        explained = explanation.explain(loaded, question.request())
    if form == "json":
        print_json(_report(loaded, explained), 0)
    else:
        _print(loaded, explained)


def _object(text: str) -> dict[str, Any]:
    try:
        return frame.load(text.encode("utf-8", "surrogateescape"))
    except MalformedFrame as exc:
        raise ConfigError('--args must be one JSON object, with each key once, as in {"path": "/srv/a.txt"}') from exc


def _print(policy: Policy, explained: Explanation) -> None:
    decision = explained.decision
    print_line(f"{decision.effect.value}, by {decision.rule!r}: {decision.reason}", colour_of(decision.effect))
    print_line(f"access    {decision.access.value}: {_why(explained)}")
    print_line(f"rules     {len(policy.rules)} in {policy.source}; + fits, - does not, ? nobody can tell")
    for step in explained.steps:
        for line in _lines(step):
            print_line(line, colour_of(step.effect) if step.effect and step.turn is Turn.DECIDES else None)
    print_line(f"default   {explained.default.value}, where no rule speaks")
    if decision.effect is not Effect.DENY:
        print_line(f"secrets   {_secrets(policy, explained)}, in the answer")
    for name, limit in explained.limits:
        print_line(f"limit     {name}, {limit.text}, counts such requests")


def _secrets(policy: Policy, explained: Explanation) -> str:
    return (explained.decision.secrets or policy.results.secrets).value


def _why(explained: Explanation) -> str:
    origin = explained.decision.access_from
    request = explained.request
    method_class = classify(request.method, is_from_upstream=request.is_from_upstream)
    return _BY_METHOD[method_class] if origin is AccessFrom.DEFAULT else _FROM[origin]


def _lines(step: Step) -> Iterator[str]:
    yield f"  line {step.rule.line:<4} {step.rule.id}: {_becomes(step)}"
    for part in step.parts:
        yield f"    {_MARKS[part.fits]} {part.of}: {part.asked}{'' if part.is_given else ' (not given)'}"


_MARKS: Final = {True: "+", False: "-", None: "?"}


def _becomes(step: Step) -> str:
    match step.turn:
        case Turn.DECIDES:
            return f"decides, {_effect(step)}"
        case Turn.TOO_LATE:
            return f"comes too late, would decide: {_effect(step)}"
        case Turn.NOT_ASKED:
            return "is not asked: what keeps the session is left to rules that name methods"
        case Turn.PASSES_ON if step.is_unsure:
            return "does not apply, because nobody can tell whether it does and it lets pass"
        case Turn.PASSES_ON:
            return "does not apply"


def _effect(step: Step) -> str:
    effect = step.effect.value if step.effect else ""
    return f"{effect}, because nobody can tell whether it applies" if step.is_unsure else effect


def _report(policy: Policy, explained: Explanation) -> dict[str, Any]:
    decision = explained.decision
    return {
        "source": policy.source,
        "sha256": policy.sha256,
        "decision": decision.effect.value,
        "rule": decision.rule,
        "reason": decision.reason,
        "access": decision.access.value,
        "access_from": decision.access_from.value,
        "secrets": _secrets(policy, explained),
        "default": explained.default.value,
        "rules": [_step(step) for step in explained.steps],
        "limits": [{"rule": name, "rate": limit.text} for name, limit in explained.limits],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "id": step.rule.id,
        "line": step.rule.line,
        "turn": step.turn.value,
        "effect": step.effect.value if step.effect else None,
        "is_unsure": step.is_unsure,
        "match": [_part(part) for part in step.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    return {"of": part.of, "asked": part.asked, "is_given": part.is_given, "fits": part.fits}
