"""Are the right tools called with the right arguments?"""

import json


def calls_of(value):
    """Tool calls as (name, arguments) from a list of calls, one call, or an object with tool_calls."""
    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, dict):
        value = value.get("tool_calls", [value])
    found = []
    for call in value:
        function = call.get("function", call)
        arguments = function.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                arguments = None
        found.append((function.get("name"), arguments))
    return found


def likeness(found, wanted):
    """1 for the same call; less than a half where a name or value differs, by the share of arguments that agree."""
    if found[0] != wanted[0] or not isinstance(found[1], dict):
        return 0.0
    if found[1] == wanted[1]:
        return 1.0
    names = set(found[1]) | set(wanted[1])
    same = sum(name in found[1] and name in wanted[1] and found[1][name] == wanted[1][name] for name in names)
    return 0.2 + 0.29 * same / len(names)


def grade(sample, item):
    """Each wanted call against the best call that is left; calls that nobody wanted count against the answer."""
    wanted = calls_of(item["reference_answer"])
    found = calls_of(sample["output_tools"])
    if not wanted:
        return 0.0 if found else 1.0
    most, score = max(len(wanted), len(found)), 0.0
    for one in wanted:
        best = max(found, key=lambda call: likeness(call, one), default=None)
        if best is not None:
            score += likeness(best, one)
            found.remove(best)
    return score / most
