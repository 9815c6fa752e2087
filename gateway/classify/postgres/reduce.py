# ruff: noqa: SIM905 - lists of words read best as words
"""A statement's tokens, rewritten into the plain SQL that every parser reads alike.

The server's lexical rules are ours alone (``lexer``). What steers no fact, or what parsers read in ways of
their own, is taken out here and noted: casts and typed literals, operators beyond the common ones, special
call syntax, collations. Literals become ``'0'``, ``'1'``, …, so that nothing looks into them. Names are
always quoted, so that no foreign keyword takes effect, and the name of a call starts with ``CALL``, so that
no foreign function is put in its place. Precedence may change, facts do not.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres import keywords, phrases
from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.reduced import Reduced, State
from gateway.classify.postgres.special import SPECIAL
from gateway.classify.postgres.words import BARE, OPERANDS, RESERVED, TYPE_OR_FUNCTION, TYPE_WORDS
from gateway.classify.tokens import MARK, NAME, OPERATOR, STRING, WORD

_ENDS_GROUPING = frozenset(
    """having window order limit offset union intersect except for fetch select""".split()
)


def reduce(tokens: list[Token], *, with_places: bool = False) -> Reduced:
    """Rewrite one statement's *tokens*; raises DoubtError for syntax that is not read here.

    *with_places* adds to each name that may be a relation's which token it was.
    """
    state = State(tokens, _run, with_places=with_places)
    _run(state, len(tokens))
    state.done.text = " ".join(state.out)
    return state.done


def _run(state: State, end: int) -> None:
    """Write everything up to token number *end*."""
    while state.at < end:
        token = state.tokens[state.at]
        kind = token.kind
        if kind is MARK:
            phrases.take_mark(state, token)
        elif kind is STRING:
            phrases.take_string(state, token)
        elif kind is WORD:
            _word(state, token)
        elif kind is NAME:
            phrases.take_name(state)
        elif kind is OPERATOR:
            phrases.take_operator(state, "", token.value)
            state.at += 1
        else:
            state.emit(token.value, operand=True)
            state.at += 1


def _word(state: State, token: Token) -> None:  # noqa: C901 - the order in which a word is tried
    word = token.value
    if keywords.is_label(state, word):
        phrases.take_name(state)
        return
    special = SPECIAL.get(word)
    if special is not None and special(state):
        return
    if word in state.frames[-1].words:
        if state.out[-1] != "(":  # TRIM(FROM x)
            state.emit(",", operand=False)
        state.at += 1
    elif word in TYPE_WORDS and phrases.take_typed_literal(state):
        return
    elif word in TYPE_OR_FUNCTION and keywords.is_name_here(state, word):
        phrases.take_name(state)
    elif word in BARE and keywords.is_syntax(state, word):
        if word == "by":
            state.frames[-1].is_grouping = state.peek_word(-1) == "group"
        elif word in _ENDS_GROUPING:
            state.frames[-1].is_grouping = False
        state.emit(word.upper(), operand=word in OPERANDS)
        state.at += 1
    elif word in RESERVED and word not in BARE and state.peek_mark() != "(":
        raise DoubtError(Doubt.SYNTAX)
    else:
        phrases.take_name(state)
