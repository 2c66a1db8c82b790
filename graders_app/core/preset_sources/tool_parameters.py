"""Do the arguments fit what the tool asks for?"""

import json

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int}


def valid(call, tools):
    schema = tools.get(call["function"]["name"])
    try:
        arguments = json.loads(call["function"].get("arguments") or "{}")
    except ValueError:
        return False
    if schema is None or not isinstance(arguments, dict):
        return False
    known = schema.get("properties") or {}
    if any(name not in arguments for name in schema.get("required") or []) or set(arguments) - set(known):
        return False
    return all(fits(value, known[name]) for name, value in arguments.items())


def fits(value, schema):
    wanted = schema.get("type")
    if isinstance(value, bool) and wanted in ("number", "integer"):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    return not isinstance(wanted, str) or isinstance(value, TYPES.get(wanted, object))


def grade(sample, item):
    """Share of the calls whose arguments fit what the tool asks for."""
    tools = {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in item.get("tools") or []}
    calls = sample["output_tools"]
    return sum(valid(call, tools) for call in calls) / len(calls) if calls else 0.0
