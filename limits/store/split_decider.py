"""Checks on a Cluster, where a global policy lies on another master than the client's counters.

The client's part is consumed first, then each global policy; each leaves a pending entry. The request
is admitted where the first entry is committed, in the call that counts it. Where a part denies, or
does not answer, what the others consumed is refunded. So no limit ever admits more than it may. Until
the refund, which is a matter of milliseconds, or of some seconds where a process or a master is lost
in between (``store/resolver.py``), other requests may find that cost consumed.
"""

from collections.abc import Sequence
from itertools import islice, takewhile

from limits.domain.counters import Reading
from limits.store import scripts
from limits.store.buckets import bucket_of
from limits.store.completer import Completer
from limits.store.counting import Counting
from limits.store.deadline import Deadline
from limits.store.decider import Answer, Decided, Decider, Part, Question, Verb, home_of_question, read_answer
from limits.store.errors import AnswerLost, StoreError
from limits.store.hot import HotConnections
from limits.store.keys import Keys
from limits.store.pending import CONFIRM_WITHIN, Consumption, PendingEntries, pack_new
from limits.store.split_check import SplitCheck, Tools


class SplitDecider(Decider):
    """Asks a Cluster for decisions."""

    def __init__(self, connections: HotConnections, keys: Keys, counts_per_bucket: int) -> None:
        super().__init__(connections, keys, counts_per_bucket)
        self._consume_script = scripts.load_consuming()
        pending = PendingEntries(connections, keys, counts_per_bucket)
        self._completer = Completer(pending)
        self._tools = Tools(pending, self._completer, Counting(connections, keys, counts_per_bucket))

    def together(self, clients: Sequence[str]) -> int:
        """One call reaches one slot, so those of the first one's bucket."""
        bucket = bucket_of(clients[0])
        others = (at for at, client in enumerate(clients) if bucket_of(client) != bucket)
        return min(next(others, len(clients)), super().together(clients))

    def decide(self, question: Question, deadline: Deadline, verb: Verb = Verb.COUNT) -> Answer:
        """As :meth:`Decider.decide`. A request with global policies takes one round trip for its client
        and one for each of them, and is left to the caller to be concluded."""
        if not question.parts:
            return super().decide(question, deadline, verb)
        if verb is Verb.COUNT:
            return self._consume_parts(question, deadline)
        answers: list[Decided] = []
        return self._ask_parts(question, answers, None, deadline)

    def decide_in_order(
        self, questions: Sequence[Question], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[Answer]:
        """As :meth:`Decider.decide_in_order`. There are fewer answers than questions where some have
        global policies too: each of these is alone, since it is concluded before the next one is asked."""
        together = list(takewhile(lambda question: not question.parts, questions))
        if together:
            return super().decide_in_order(together, deadline, verb)
        return [self.decide(questions[0], deadline, verb)]

    def _consume_parts(self, question: Question, deadline: Deadline) -> Answer:
        check = SplitCheck(self._tools, question.client)
        answers: list[Decided] = []
        try:
            answer = self._ask_parts(question, answers, check, deadline)
        except BaseException:
            check.refund_later()
            raise
        if isinstance(answer, Decided):
            return answer._replace(unfinished=check)
        check.refund(deadline)
        return answer

    def _ask_parts(
        self, question: Question, answers: list[Decided], check: SplitCheck | None, deadline: Deadline
    ) -> Answer:
        """Asks one part after another, and keeps what each answered. With a ``check`` they are consumed
        as long as all admit."""
        for number, part in enumerate(question.parts):
            admitted = all(answer.admitted for answer in answers)
            part_question = _question_of(question, part)
            if check is not None and admitted:
                answer = self._consume(part_question, check, number, deadline)
            else:
                answer = super().decide(part_question, deadline, Verb.LOOK)
            if not isinstance(answer, Decided):
                return answer
            answers.append(answer)
        return _together(question, answers)

    def _consume(self, question: Question, check: SplitCheck, number: int, deadline: Deadline) -> Answer:
        """Consumes one part, and lets the check know where it did, or may have."""
        bucket = bucket_of(home_of_question(question))
        keys, who = self._request(question, bucket)
        counters = tuple(keys[len(self._keys.of_request[bucket]) :])
        consumption = Consumption(bucket, check.entry(number), counters)
        patience = deadline.remaining() + (CONFIRM_WITHIN if number else 0)
        head = question.token, Verb.CONSUME.value, pack_new(consumption.entry, patience, check.home)
        keys += self._keys.pending[bucket]
        check.begin(consumption)
        try:
            reply, *overdue = self._consume_script.run(self._connections, keys, (*head, *who, question.rules), deadline)
        except StoreError as error:
            if not isinstance(error, AnswerLost):
                check.take_back()
            raise
        answer = read_answer(reply, bucket)
        if not (isinstance(answer, Decided) and answer.admitted):
            check.take_back()
        if overdue == [1]:
            self._completer.resolve(bucket)
        return answer


def _question_of(question: Question, part: Part) -> Question:
    """One part asked about by itself. The bucket of a global policy knows nothing of the client."""
    policies, rules = part.counters, part.rules
    if policies and policies[0].shared:
        return question._replace(client="", bucket_of=policies[0].policy, revision=0, policies=policies, rules=rules)
    return question._replace(policies=policies, rules=rules)


def _rows(part: Part, answer: Decided) -> list[list[Reading]]:
    """The readings of each policy of a part."""
    readings = iter(answer.readings)
    return [list(islice(readings, size)) for size in part.sizes]


def _together(question: Question, answers: Sequence[Decided]) -> Decided:
    rows: dict[int, list[Reading]] = {}
    for part, answer in zip(question.parts, answers, strict=True):
        rows.update(zip(part.places, _rows(part, answer), strict=True))
    return Decided(
        admitted=all(answer.admitted for answer in answers),
        complete=all(answer.complete for answer in answers),
        now=answers[0].now,
        readings=[reading for place in sorted(rows) for reading in rows[place]],
    )
