"""Checks on a Cluster, where a global policy lies on another master than the client's counters.

The client's part is asked first, then each global policy; where one denies, what the others took
is given back. So no limit ever admits more than it may. Until it is given back, other requests may
find that cost taken, and where a process dies in between, it stays taken until it is too old.
"""

from collections.abc import Sequence
from itertools import islice

from limits.domain.counters import Reading
from limits.store import scripts
from limits.store.buckets import bucket_of
from limits.store.deadline import Deadline
from limits.store.decider import Answer, Decided, Decider, Part, Question, Verb
from limits.store.hot import HotConnections
from limits.store.keys import Keys


class SplitDecider(Decider):
    """Asks a Cluster for decisions."""

    def __init__(self, connections: HotConnections, keys: Keys, counts_per_bucket: int) -> None:
        super().__init__(connections, keys, counts_per_bucket)
        self._give_back_script = scripts.load("give_back")

    def together(self, clients: Sequence[str]) -> int:
        """One call reaches one slot, so those of the first one's bucket."""
        bucket = bucket_of(clients[0])
        others = (at for at, client in enumerate(clients) if bucket_of(client) != bucket)
        return min(next(others, len(clients)), super().together(clients))

    def decide(self, question: Question, deadline: Deadline, verb: Verb = Verb.COUNT) -> Answer:
        """As :meth:`Decider.decide`, and as :meth:`decide_in_order`."""
        if question.parts:
            return self._decide_parts(question, deadline, verb)
        return super().decide(question, deadline, verb)

    def decide_in_order(
        self, questions: Sequence[Question], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[Answer]:
        """As :meth:`Decider.decide_in_order`. A request with global policies takes one round trip for
        its client and one for each of them, and is left to the caller to be counted."""
        if not any(question.parts for question in questions):
            return super().decide_in_order(questions, deadline, verb)
        answers: list[Answer] = []
        for question in questions:
            answers.append(self.decide(question, deadline, verb))
            if not isinstance(answers[-1], Decided):
                break
        return answers

    def _decide_parts(self, question: Question, deadline: Deadline, verb: Verb) -> Answer:
        answers: list[Decided] = []
        decided: Answer | None = None
        try:
            decided = self._ask_parts(question, answers, deadline, verb)
        finally:
            admitted = isinstance(decided, Decided) and decided.admitted
            if verb is Verb.COUNT and not admitted:
                self._give_back(question, answers, deadline)
        return decided

    def _ask_parts(self, question: Question, answers: list[Decided], deadline: Deadline, verb: Verb) -> Answer:
        """Asks one part after another, and keeps what each answered."""
        for part in question.parts:
            admitted = all(answer.admitted for answer in answers)
            part_verb = Verb.TAKE if verb is Verb.COUNT and admitted else Verb.LOOK
            answer = super().decide(_question_of(question, part), deadline, part_verb)
            if not isinstance(answer, Decided):
                return answer
            answers.append(answer)
        return _together(question, answers)

    def _give_back(self, question: Question, answers: Sequence[Decided], deadline: Deadline) -> None:
        """What each part took: those before the first one that did not admit."""
        bucket = bucket_of(question.client)
        for part, answer in zip(question.parts, answers, strict=False):
            if not answer.admitted:
                return
            flags = "".join("1" if all(reading[0] for reading in row) else "0" for row in _rows(part, answer))
            keys = [self._counter_key(bucket, question.client, counter) for counter in part.counters]
            if "1" in flags:
                arguments = (answer.now, question.cost, flags, part.rules)
                self._give_back_script.run(self._connections, keys, arguments, deadline)


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
        counted=False,
    )
