"""What of a statement goes into the record: its text without secrets, and its form without literals.

How a dialect spells a token, and what is a secret in it, is the dialect's; the rest is the same for all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gateway.classify import redact
from gateway.classify.doubt import Doubt
from gateway.classify.facts import Piece
from gateway.classify.fingerprint import fingerprint
from gateway.classify.tokens import MARK, NAME, NUMBER, PLACEHOLDERS, STRING, Lexeme

TokenT = TypeVar("TokenT", bound=Lexeme)
_NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Recording(Generic[TokenT]):
    """One dialect's part in what is recorded.

    ``suspects`` are the words, in small letters, without which nothing can be a secret or a comment;
    ``is_about_secrets`` is true of statements whose every literal is or may be a credential; the other two
    look at one place: an opening bracket of a call that takes secrets, and a token that is one itself.
    ``text_quote`` is a quote in which text stands where a setting does not make it a name's: then such a name
    may be a secret that somebody took for text.
    """

    spell: Callable[[TokenT], str]
    suspects: tuple[str, ...]
    is_about_secrets: Callable[[Sequence[TokenT]], bool]
    is_secret_call: Callable[[Sequence[TokenT], int], bool]
    follows_secret: Callable[[Sequence[TokenT], int], bool]
    text_quote: str = ""

    def recorded(self, piece: Piece, text: str, tokens: Sequence[TokenT]) -> Piece:
        """*piece*, whose *tokens* are in *text*, and what is said of it: no literal if it has a reason."""
        shown = piece.text
        if piece.reason == Doubt.STATEMENT:
            return replace(piece, redacted=redact.unreadable(shown))
        if not piece.reason and self._is_clean(shown):
            return replace(piece, fingerprint=self._form(tokens, _NOTHING), redacted=shown)
        spans = list(self.spans(text, tokens, hide_all=bool(piece.reason)))
        redacted = redact.rebuild(text, spans)
        if piece.reason:
            redacted = redact.mark(shown, redacted)
        hidden = {start for start, _, replacement in spans if replacement is not None}
        return replace(piece, fingerprint=self._form(tokens, hidden), redacted=redacted)

    def spans(
        self, text: str, tokens: Sequence[TokenT], *, hide_all: bool
    ) -> Iterator[tuple[int, int, str | None]]:
        """Each token's place, and what is recorded in its stead (None: itself)."""
        hide_literals = hide_all or self.is_about_secrets(tokens)
        depth, hidden_until = 0, -1
        for at, token in enumerate(tokens):
            kind, value, start, end = token.kind, token.value, token.start, token.end
            replacement: str | None = None
            if kind is MARK:
                depth += (value == "(") - (value == ")")
                if depth <= hidden_until:
                    hidden_until = -1
                if value == "(" and hidden_until < 0 and self.is_secret_call(tokens, at):
                    hidden_until = depth - 1
            elif self.follows_secret(tokens, at):
                replacement = redact.HIDDEN
            elif hide_all and kind is NUMBER:
                replacement = "0"
            elif self._may_be_text(token, text) and (
                hide_literals or hidden_until >= 0 or redact.holds_secret(text[start:end])
            ):
                replacement = redact.HIDDEN
            yield start, end, replacement

    def _may_be_text(self, token: TokenT, text: str) -> bool:
        kind = token.kind
        if kind is NAME:
            return bool(self.text_quote) and text[token.start] == self.text_quote
        return kind is STRING or kind is NUMBER

    def _is_clean(self, shown: str) -> bool:
        """True when nothing even looks like a secret or a comment, so that no token need be looked at."""
        lowered = shown.lower()
        return not any(word in lowered for word in self.suspects)

    def _form(self, tokens: Iterable[TokenT], hidden: AbstractSet[int]) -> str:
        """The fingerprint; the parts of a name with dots in it stay one word."""
        words: list[str] = []
        is_glued = False
        for token in tokens:
            kind = token.kind
            if kind in PLACEHOLDERS or token.start in hidden:
                word = "?"
            elif kind is MARK and token.value == "." and words:
                words[-1] += "."
                is_glued = True
                continue
            else:
                word = self.spell(token)
            if is_glued:
                words[-1] += word
                is_glued = False
            else:
                words.append(word)
        return fingerprint(words)
