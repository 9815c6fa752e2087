"""The reasons for which a statement is not understood; each is a stable code that auditors see."""

from enum import StrEnum


class Doubt(StrEnum):
    """Why a classification is not complete."""

    TOO_LONG = "too_long"
    TOO_DEEP = "too_deep"
    TOO_MANY_TOKENS = "too_many_tokens"
    CHARACTER = "strange_character"
    NUMBER = "strange_number"
    NAME = "strange_name"
    UNTERMINATED = "unterminated"
    SYNTAX = "syntax"
    STATEMENT = "unknown_statement"
    NODE = "unknown_node"
    LOST = "lost_token"
    DYNAMIC = "dynamic"  # what runs stands elsewhere: a procedure, a block, a prepared name
    CURSOR = "cursor"
    BODY = "deferred_body"  # runs later, under other rights: functions, triggers, rules
    SETTING = "setting_value"
    UNQUALIFIED = "unqualified_name"
    DIALECT = "unknown_dialect"
    TIMEOUT = "parse_timeout"
    RECURSION = "recursion"
    COMMENT = "executable_comment"  # its text runs on some servers, or on some versions
    MODE = "sql_mode"  # how the text is read depends on a setting that is not known, or another grammar's


class DoubtError(Exception):
    """Leaves the innermost function that met something it does not know; never leaves this package."""

    def __init__(self, reason: Doubt) -> None:
        super().__init__(reason.value)
        self.reason = reason
