"""Is the right tool called?"""

import json


def names_in(value):
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, dict):
        value = value.get("tool_calls", [value])
    if not isinstance(value, list):
        return None
    return [call.get("function", call).get("name") for call in value if isinstance(call, dict)]


def grade(sample, item):
    """Share of the right tools that were called; where no tool is known to be right, 1 for one that is offered."""
    called = [call["function"]["name"] for call in sample["output_tools"]]
    wanted = names_in(item.get("reference_answer"))
    if wanted:
        return sum(name in called for name in wanted) / max(len(wanted), len(called))
    offered = [tool["function"]["name"] for tool in item.get("tools") or []]
    return 1.0 if called and all(name in offered for name in called) else 0.0
