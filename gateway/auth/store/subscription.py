"""Word of changes to whoever waits for it in this process."""

import asyncio  # noqa: TID251
import weakref
from typing import Self


class Subscription:
    """An async iterator over revisions: the current one at once, then one after each change.

    Changes that pile up while nobody looks come as one, the newest.
    """

    def __init__(self, revision: int) -> None:
        self._revision = revision
        self._news = asyncio.Event()
        self._news.set()

    def tell(self, revision: int) -> None:
        """Wake the reader; called by the store."""
        self._revision = revision
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        await self._news.wait()
        self._news.clear()
        return self._revision


class Topic:
    """One number that rises, and those who wait for it."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()

    def subscribe(self) -> Subscription:
        """A new reader; it ends to be told when nobody refers to it any more."""
        subscription = Subscription(self.revision)
        self._subscriptions.add(subscription)
        return subscription

    def tell(self, revision: int) -> None:
        """The number is *revision* now, unless it was higher already: news may overtake each other."""
        if revision <= self.revision:
            return
        self.revision = revision
        for subscription in self._subscriptions:
            subscription.tell(revision)
