"""``envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit``."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import DecodeError

from api.problems import INSUFFICIENT_SCOPE, INVALID_TOKEN, MISSING_TOKEN, ProblemResponse
from gateway.engine_threads import EngineThreads
from gateway.http2.calls import Call
from gateway.http2.status import Status
from gateway.rls.answers import Answers
from gateway.rls.authorization import TRUSTED, Caller, TrustedPeers, caller_of
from gateway.rls.descriptors import Item, Operation, asked_in
from gateway.rls.evaluation import LEAST_DEADLINE, Evaluation, Results
from ratelimit_enforcer.domain.decision import Decision, is_in_range
from ratelimit_enforcer.engine import RulesetMissing, StoreError

SERVICE = "envoy.service.ratelimit.v3.RateLimitService"
SHOULD_RATE_LIMIT = f"/{SERVICE}/ShouldRateLimit"

MAX_DESCRIPTORS = 16
WAY_BACK = 0.005
"""Seconds of ``grpc-timeout`` that are left for the answer to arrive."""
DEADLINE_WITHOUT_TIMEOUT = 0.015
"""Seconds for a request without ``grpc-timeout``: Envoy waits 20 ms unless it is configured otherwise."""

_STATUSES: Mapping[str, int] = {
    MISSING_TOKEN.uri: Status.UNAUTHENTICATED,
    INVALID_TOKEN.uri: Status.UNAUTHENTICATED,
    INSUFFICIENT_SCOPE.uri: Status.PERMISSION_DENIED,
}

logger = logging.getLogger(__name__)


class RateLimitService:
    """Answers calls with the engine of this process."""

    def __init__(self, threads: EngineThreads, answers: Answers, peers: TrustedPeers, *, deadline: float) -> None:
        """``deadline``: seconds that one check may take at most (``CHECK_DEADLINE``)."""
        self._threads = threads
        self._answers = answers
        self._peers = peers
        self._deadline = deadline

    def should_rate_limit(self, call: Call, message: bytes) -> None:
        """Decides one request; replies later, in the event loop."""
        try:
            items, adjusts = asked_in(message)
        except DecodeError:
            call.fail(Status.INVALID_ARGUMENT, "The message is not a RateLimitRequest.")
            return
        if len(items) > MAX_DESCRIPTORS:
            call.fail(
                Status.INVALID_ARGUMENT,
                f"A request may have at most {MAX_DESCRIPTORS} descriptors, not {len(items):,}.",
            )
            return
        try:
            caller = self._caller(call, adjusts)
        except ProblemResponse as error:
            _fail(call, error)
            return
        Answering(self._threads, self._answers, call, items, caller, self._ends(call.deadline_seconds)).start()

    def _caller(self, call: Call, adjusts: bool) -> Caller:
        trusted = self._peers.includes(call.peer)
        if trusted and not adjusts:
            return TRUSTED
        return caller_of(call.metadata.get("authorization", ""), trusted=trusted, adjusts=adjusts)

    def _ends(self, timeout: float | None) -> float | None:
        """When the caller needs the answer (``time.monotonic()``); None: the deadline of every check is sooner."""
        seconds = seconds_for(timeout)
        return None if seconds >= self._deadline else time.monotonic() + seconds


def seconds_for(timeout: float | None) -> float:
    """The seconds that a caller with this ``grpc-timeout`` leaves for the answer."""
    return DEADLINE_WITHOUT_TIMEOUT if timeout is None else max(timeout - WAY_BACK, LEAST_DEADLINE)


class Answering:
    """One request that waits for its decision."""

    __slots__ = ("_answers", "_call", "_caller", "_ends", "_is_retried", "_items", "_threads")

    def __init__(
        self,
        threads: EngineThreads,
        answers: Answers,
        call: Call,
        items: Sequence[Item],
        caller: Caller,
        ends: float | None,
    ) -> None:
        self._threads = threads
        self._answers = answers
        self._call = call
        self._items = items
        self._caller = caller
        self._ends = ends
        self._is_retried = False

    def start(self) -> None:
        """Has the request decided: one plain check or peek with others that wait, everything else in a thread of the
        pool."""
        if len(self._items) == 1:
            operation, check, cost = self._items[0]
            if check is not None and operation in _PLAIN and (cost is None or is_in_range(cost)):
                consume = operation is Operation.CHECK
                self._threads.submit(
                    check, self._caller, consume, self._decided, self._ends, headers=self._call.metadata
                )
                return
        self._threads.run(self._evaluation(), self._evaluated, headers=self._call.metadata)

    def _evaluation(self) -> Callable[[], Results]:
        if any(item.check is not None for item in self._items):
            return Evaluation(self._threads.engine, self._items, self._caller, self._ends)
        return self._authorized

    def _authorized(self) -> Results:
        """Nothing limits the request, but its caller has to be one that may ask."""
        self._threads.engine.authorize(self._caller)
        return [None] * len(self._items)

    def _decided(self, result: Decision | Exception) -> None:
        self._evaluated(result if isinstance(result, Exception) else [result])

    def _evaluated(self, result: Results | Exception) -> None:
        if not isinstance(result, Exception):
            self._call.reply(self._answers.answer(result))
        elif isinstance(result, ProblemResponse) and not self._is_retried and self._caller.token is not None:
            self._is_retried = True
            self._threads.run(self._threads.engine.refresh, self._refreshed)
        else:
            _fail(self._call, result)

    def _refreshed(self, result: Exception | None) -> None:
        """The token may be newer than the rules of this process."""
        if result is None:
            self.start()
        else:
            _fail(self._call, result)


_PLAIN = (Operation.CHECK, Operation.PEEK)


def _fail(call: Call, error: Exception) -> None:
    """Ends a call that has no answer. Only what the caller can act on is told."""
    if isinstance(error, ProblemResponse):
        call.fail(_STATUSES.get(error.kind.uri, Status.INTERNAL), error.detail)
    elif isinstance(error, RulesetMissing):
        call.fail(Status.UNAVAILABLE, "No ruleset is loaded.")
    elif isinstance(error, StoreError):
        call.fail(Status.UNAVAILABLE, "The store is unavailable.")
    else:
        logger.error("A request over gRPC failed.", exc_info=error)
        call.fail(Status.INTERNAL, "Internal error.")
