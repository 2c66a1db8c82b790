"""Does the answer fit a JSON schema?"""

import json
import re

SCHEMA = {}
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": (int, float),
}


def is_type(value, name):
    if isinstance(value, bool) and name in ("number", "integer"):
        return False
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES.get(name, object))


def fits(value, schema):
    """Whether ``value`` meets ``schema``; of JSON Schema, what structured output uses."""
    if schema is True or schema == {}:
        return True
    if schema is False:
        return False
    wanted = schema.get("type")
    if wanted and not any(is_type(value, name) for name in ([wanted] if isinstance(wanted, str) else wanted)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "anyOf" in schema and not any(fits(value, part) for part in schema["anyOf"]):
        return False
    if not all(fits(value, part) for part in schema.get("allOf", [])):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if any(name not in value for name in schema.get("required", [])):
            return False
        if schema.get("additionalProperties") is False and set(value) - set(known):
            return False
        return all(fits(value[name], part) for name, part in known.items() if name in value)
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)) and all(
            fits(entry, schema.get("items", True)) for entry in value
        )
    if isinstance(value, str):
        return (
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
            and re.search(schema.get("pattern", ""), value) is not None
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def grade(sample, item):
    """1 where the answer fits the schema; up to 0.4 for a JSON object by the share of its properties that fit."""
    try:
        value = json.loads(sample["output_text"])
    except (ValueError, RecursionError):
        return 0.0
    if fits(value, SCHEMA):
        return 1.0
    known = SCHEMA.get("properties", {})
    if not isinstance(value, dict) or not known:
        return 0.0
    return 0.4 * sum(name in value and fits(value[name], part) for name, part in known.items()) / len(known)
