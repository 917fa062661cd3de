"""Accounts: the accounts of an emulator by their tokens, and their state as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._account import Account
from ._file import line_of, lines_of, read
from ._merge import merged
from ._token import Token, check_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._account import Contents
    from ._clock import MockClock
    from ._file import Section


class Accounts:
    """The accounts of an emulator. They need a lock if several threads use them.

    Args:
        clock: The clock of the moves.
        token: The token of the first account; None creates one.
        scopes: Its scopes; None allows everything.

    Attributes:
        all: The accounts; the first one is always there.
        by_token: The account of each token.

    Raises:
        ValueError: No header can hold the token.
    """

    def __init__(
        self, clock: MockClock, token: str | None = None, scopes: frozenset[str] | None = None
    ) -> None:
        self._clock = clock
        # The numbers of the next tokens, by those of the accounts. They never decrease, so a token
        # that was removed never comes back.
        self._next_tokens: dict[int, int] = {}
        self.all: list[Account] = [Account(clock)]
        self.by_token: dict[str, Account] = {}
        self.add_token(self.all[0], scopes, token)

    def add(self, token: str | None = None) -> Account:
        """Add an account with this token, and return it; None creates the token.

        Raises:
            ValueError: The token is in use, or no header can hold it.
        """
        account = self._new(self._last_number() + 1)
        self.add_token(account, None, token)
        self.all.append(account)
        return account

    def _last_number(self) -> int:
        return max(account.number for account in self.all)

    def _new(self, number: int) -> Account:
        account = Account(self._clock, number)
        account.move_delay = self.all[0].move_delay
        return account

    def add_token(
        self, account: Account, scopes: frozenset[str] | None, token: str | None = None
    ) -> str:
        """Add a token of an account, and return it.

        Args:
            account: The account.
            scopes: The scopes; None allows everything.
            token: The token; None creates one.

        Raises:
            ValueError: The token is in use, or no header can hold it.
        """
        number = max(self._next_tokens.get(account.number, 0), len(account.tokens))
        while (created := account.token_text(number)) in self.by_token:
            number += 1
        self._next_tokens[account.number] = number + 1
        token = created if token is None else token
        check_token(token)
        if token in self.by_token:
            raise ValueError("token must be new, but this one is already in use")
        account.tokens[token] = Token(scopes)
        self.by_token[token] = account
        return token

    def text(self, account: Account | None = None) -> str:
        """Return the projects and resources of an account, or the state of all accounts."""
        if account is not None:
            return "".join(lines_of(account.contents))
        return "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for account in self.all:
            own, *tokens = account.tokens
            if account is not self.all[0]:
                yield line_of({"kind": "account", "token": own})
            for token in tokens:
                scopes = account.tokens[token].scopes
                names = None if scopes is None else sorted(scopes)
                yield line_of({"kind": "token", "token": token, "scopes": names})
            yield from lines_of(account.contents)

    def load(self, text: str, account: Account | None = None, *, replace: bool) -> None:
        """Add the contents of a text to an account, or to all accounts.

        Args:
            text: The text of a file.
            account: The account; None is the first one, and lets the text contain further accounts.
            replace: True to remove everything else, except for the own tokens of these accounts.

        Raises:
            ValueError: The text is invalid, or does not fit; the accounts are unchanged.
        """
        target = self.all[0] if account is None else account
        first, *further = read(text, next(iter(target.tokens)))
        if account is not None and further:
            raise ValueError("the text must contain one account, got several")
        changed = {target: self._changed(target, first, replace=replace)}
        number = self._last_number()
        for section in further:
            each = self.by_token.get(section.token)
            if each is None:
                number += 1
                each = self._new(number)
                each.tokens = {section.token: Token(None)}
            elif each in changed:
                raise ValueError("each account must have a token of its own")
            changed[each] = self._changed(each, section, replace=replace)
        accounts = list(dict.fromkeys([*self.all, *changed]))
        if replace and account is None:
            accounts = list(changed)
        tokens_of = {
            each: changed[each][1] if each in changed else each.tokens for each in accounts
        }
        by_token = {token: each for each, tokens in tokens_of.items() for token in tokens}
        if len(by_token) < sum(map(len, tokens_of.values())):
            raise ValueError("a token must be that of one account")
        for each, (contents, tokens) in changed.items():
            if replace:
                each.clear()
            each.contents, each.tokens = contents, tokens
        self.all, self.by_token = accounts, by_token

    def _changed(
        self, account: Account, section: Section, *, replace: bool
    ) -> tuple[Contents, dict[str, Token]]:
        """Return the contents and the tokens that a section gives an account."""
        base = self._new(account.number) if replace else account
        tokens = dict(account.tokens)
        if replace:
            own = next(iter(tokens))
            tokens = {own: tokens[own]}
        tokens |= {token: Token(scopes) for token, scopes in section.tokens.items()}
        return merged(base.contents, section.entries, base.new_id), tokens
