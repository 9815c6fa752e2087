"""Whether a record is what ``schemas/event.json`` promises; for everybody whose tests record something."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from gateway import schema
from gateway.audit.encode import canonical
from gateway.model.event import Event


def problems(event: Event) -> list[str]:
    """Everything that is wrong with the record that *event* becomes."""
    return record_problems(json.loads(canonical(event, 0)))


def record_problems(record: Any) -> list[str]:
    """The same for a line of a log, as JSON."""
    validator = Draft202012Validator(schema.load("event"))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(record)]
