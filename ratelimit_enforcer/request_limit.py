"""``request.rate_limit``: what the checks of one request reserved, and the settlement when the response is closed.

Django's handlers close the request together with the response, whichever response that is in the end: that of the
view, of an exception, or of a middleware; and whether it was sent or the client disconnected. So
:func:`_finish_at_close` replaces ``close`` of the request. There is one exception: if the client disconnects before
there is a response, the ASGI handler only sends ``request_finished``, which does not name the request. The request is
then found by the context of asgiref that the handler opens for each request. The receiver runs in the thread of that
context, so a sync view that is still running ends first.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.core.signals import got_request_exception, request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseServerError
from django.http.response import HttpResponseBase

from ratelimit_enforcer.client_identifier import AnyRequest
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.reservations import (
    MAX_SETTLED_COST,
    ReservationId,
    SettledAtAnotherCost,
    Settlement,
    Store,
    UnknownReservation,
)
from ratelimit_enforcer.engine import Engine, StoreError
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.refunds import Refunds

Refund = Callable[[HttpResponseBase], bool]
"""Whether a request with this response costs nothing."""

log = logging.getLogger(__name__)
_unsettled = RateLimitedLog(log)
_refunds = Refunds()
_in_flight: "WeakKeyDictionary[ThreadSensitiveContext, RequestLimit]" = WeakKeyDictionary()


class Hold:
    """A reservation, or places of concurrency limits, until the response is closed. ``reserves``: the view may settle
    it; ``refund``: None if the cost of a failed request is kept."""

    def __init__(self, engine: Engine, decision: Decision, *, reserves: bool, refund: Refund | None) -> None:
        self.reserves = reserves
        self._engine = engine
        self._decision = decision
        self._refund = refund
        self._reservation = decision.reservation or ""
        self._cost: int | None = None
        self._is_settled = False

    def settle(self, cost: int | None) -> Settlement | None:
        """Settles at this cost (None: what was reserved). None if there was nothing to settle. Raises the exceptions of
        :meth:`~ratelimit_enforcer.engine.Engine.settle`."""
        self._cost = cost
        try:
            settlement = self._engine.settle(self._reservation, cost)
        except (SettledAtAnotherCost, UnknownReservation):
            self._is_settled = True
            raise
        self._is_settled = True
        return settlement if ReservationId.parse(self._reservation).store is Store.SHARD else None

    def finish(self, response: HttpResponseBase | None, *, served: bool) -> None:
        """Settles what is unsettled; if that fails, the reservation expires. ``response`` None: it is not known."""
        if self._is_settled:
            return
        try:
            self.settle(self._cost_at_close(response, served=served))
        except (StoreError, SettledAtAnotherCost, UnknownReservation) as error:
            _unsettled.warning("A reservation was not settled, and expires: %s", error)

    def _cost_at_close(self, response: HttpResponseBase | None, *, served: bool) -> int | None:
        if self._cost is not None:
            return self._cost  # The view asked for it, and the store was unavailable.
        if self.reserves and not served:
            return 0
        failed = self._refund is not None and response is not None and self._refund(response)
        if failed and _refunds.admit(self._decision, setting("REFUND_SHARE"), self._engine.share):
            return 0
        return None


class RequestLimit:
    """The decisions about one request, and the reservations that ``throttle_reserve`` or ``rate_limit(reserve=…)`` made
    for it. Settling does nothing and returns None if there is none: limits are off, the client is exempt, or the
    answer is degraded."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self._holds: list[Hold] = []
        self.view: Any = None
        """The view of Django REST Framework; its ``response`` is the response to the request."""
        self._response: HttpResponseBase | None = None
        self._stream: Any = None
        self._watched: Any = None
        self._is_served = True
        self._has_failed = False
        self._is_finished = False

    @property
    def is_holding(self) -> bool:
        """Whether something has to be settled or freed."""
        return bool(self._holds)

    @property
    def decision(self) -> Decision | None:
        """The last decision about this request; None without one, because limits are off or no rules are loaded."""
        return self.decisions[-1] if self.decisions else None

    def settle(self, cost: int) -> Settlement | None:
        """Settles the reservation at its actual cost, 0 to 1,000,000,000: the rest is refunded, and an excess is
        debited, even beyond the quota. The request's places of concurrency limits are freed. Several reservations are
        all settled at this cost, and the result is that of the last one.

        The same call again returns the same answer. Raises ``ValueError`` for an invalid cost,
        :class:`~ratelimit_enforcer.domain.reservations.SettledAtAnotherCost`,
        :class:`~ratelimit_enforcer.domain.reservations.UnknownReservation`, and
        :class:`~ratelimit_enforcer.engine.StoreError`: then the call may be repeated, and is, when the response is
        closed.
        """
        if type(cost) is not int or not 0 <= cost <= MAX_SETTLED_COST:
            raise ValueError(f"The actual cost of a request is {cost!r}: it must be a whole number from 0 to 10^9.")
        settlements = [hold.settle(cost) for hold in self._holds if hold.reserves]
        return settlements[-1] if settlements else None

    def release(self) -> Settlement | None:
        """Refunds the whole reservation: :meth:`settle` at a cost of 0."""
        return self.settle(0)

    async def asettle(self, cost: int) -> Settlement | None:
        """:meth:`settle` for async views."""
        # In any thread: the settlement uses Redis only, and waits for no other work of the request.
        return await sync_to_async(self.settle, thread_sensitive=False)(cost)

    async def arelease(self) -> Settlement | None:
        """:meth:`release` for async views."""
        return await self.asettle(0)

    def hold(self, request: HttpRequest, hold: Hold) -> None:
        """Settles this hold when the response is closed, unless the view does it before."""
        if not self._holds:
            _finish_at_close(request, self)
        self._holds.append(hold)

    def deny(self) -> None:
        """A check denied the request, so that it is not served: what others reserved for it is refunded."""
        self._is_served = False

    def fail(self) -> None:
        """The request ended with an exception that Django answers with status 500."""
        self._has_failed = True

    def answer(self, response: Any) -> None:
        """The response of the view."""
        if not isinstance(response, HttpResponseBase):
            return
        self._response = response
        stream = _async_iterator_of(response)
        # A second decorator gets the response with the watched stream.
        if self._holds and stream is not None and stream is not self._watched:
            self._stream, self._watched = stream, self._until_it_fails(stream)
            response.streaming_content = self._watched  # type: ignore[attr-defined]

    async def _until_it_fails(self, stream: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The ASGI handler does not close a response whose stream fails."""
        try:
            async for part in stream:
                yield part
        except Exception:
            await sync_to_async(self.finish, thread_sensitive=False)()
            raise

    def finish(self) -> None:
        """Settles what the view has not settled. Called when the response is closed; further calls do nothing."""
        if self._is_finished or not self._holds:
            return
        self._is_finished = True
        # Django drops exceptions at this moment.
        with _logging_exceptions("The stream of a response could not be closed."):
            self._close_stream()
        with _logging_exceptions("A reservation was not settled, and expires."):
            response = self._outcome()
            for hold in self._holds:
                hold.finish(response, served=self._is_served)

    def _close_stream(self) -> None:
        """Runs the ``finally`` of an async generator, where a view settles. Django leaves that to Python's garbage
        collector if the client disconnects between two parts of the stream."""
        stream = self._stream or _async_iterator_of(getattr(self.view, "response", None))
        if hasattr(stream, "aclose"):
            async_to_sync(_aclose)(stream)

    def _outcome(self) -> HttpResponseBase | None:
        """The response of the view; a response with status 500 after an exception; None if there is none, because the
        client disconnected, or because of an exception that Django answers with another status."""
        if self._has_failed:
            return HttpResponseServerError()
        response = getattr(self.view, "response", None)
        return response if isinstance(response, HttpResponseBase) else self._response


@contextmanager
def _logging_exceptions(message: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception(message)


async def _aclose(stream: Any) -> None:
    await stream.aclose()


def _async_iterator_of(response: Any) -> Any:
    """The iterator that a view gave to a streaming response, if it is async; ``streaming_content`` wraps it."""
    return getattr(response, "_iterator", None) if getattr(response, "is_async", False) else None


def bare_request(request: AnyRequest) -> HttpRequest:
    """Django's request, without the framework's wrapper."""
    bare: HttpRequest = getattr(request, "_request", request)
    return bare


def limit_of(request: AnyRequest) -> RequestLimit:
    """``request.rate_limit``, which exists from the first call on."""
    bare = bare_request(request)
    limit = bare.__dict__.get("rate_limit")
    if not isinstance(limit, RequestLimit):
        limit = bare.rate_limit = RequestLimit()  # type: ignore[attr-defined]
    return limit


def _finish_at_close(request: HttpRequest, limit: RequestLimit) -> None:
    close = request.close

    def close_and_finish() -> None:
        # Also ends the cycle of references between this function and the request.
        request.__dict__.pop("close", None)
        try:
            close()
        finally:
            limit.finish()

    request.close = close_and_finish  # type: ignore[method-assign]
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context is not None:
        _in_flight[context] = limit


@receiver(request_finished)
def _finish_without_response(*, sender: Any, **_: Any) -> None:
    """After a response was closed, there is nothing left to do. ``sender`` None: a response was closed that is not the
    one of the request."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    limit = _in_flight.pop(context, None) if context is not None and sender is not None else None
    if limit is not None:
        limit.finish()


@receiver(got_request_exception)
def _note_failure(*, request: Any = None, **_: Any) -> None:
    limit = getattr(request, "__dict__", {}).get("rate_limit")
    if isinstance(limit, RequestLimit):
        limit.fail()
