"""A back office: adds a plan, moves a customer to it, sells 10,000 requests more, reads the usage of October as CSV.

The package is generated from the document of the platform; this program is checked by mypy and run by a test:

    openapi-python-client generate --url http://127.0.0.1:8000/api/schema/ --meta none --output-path rate_limits
    RATE_LIMITS=http://127.0.0.1:8000 TOKEN=rl_… python back_office.py
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from rate_limits import AuthenticatedClient, models
from rate_limits.api.checks import peek
from rate_limits.api.clients import put_client
from rate_limits.api.grants import create_grant
from rate_limits.api.plans import put_plan
from rate_limits.api.policies import put_policy

Answer = TypeVar("Answer")

api = AuthenticatedClient(base_url=os.environ["RATE_LIMITS"], token=os.environ["TOKEN"])
MONTHLY = models.PolicyLimitRequest(
    50_000,
    algorithm=models.PolicyLimitRequestAlgorithm.CALENDAR,
    period=models.PolicyLimitRequestPeriod.MONTH,
)


def done(answer: Answer | models.ProblemResponse | None) -> Answer:
    """Ends the program with the reason if the platform rejected the request."""
    if isinstance(answer, models.ProblemResponse) or answer is None:
        sys.exit(f"Rejected: {answer}")
    return answer


done(put_plan.sync("gold", client=api, body=models.PlanRequest(name="Gold")))
done(put_policy.sync("gold-month", client=api, body=models.PolicyRequest(plan="gold", limits=[MONTHLY])))
done(put_client.sync("acme", client=api, body=models.ClientRequest(name="Acme Ltd", plan="gold")))

until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=365)
sold = models.GrantRequest("acme", "gold-month", 10_000, until, reason="Order 4711")
done(create_grant.sync(client=api, body=sold, idempotency_key="order-4711"))

decision = done(peek.sync(client=api, body=models.CheckByEndpointRequest("acme", "search")))
print(f"acme may make {getattr(decision, 'remaining', 0):,} requests this month.")

query = {"from": "2026-10", "to": "2026-11", "by": "client", "format": "csv"}
report = api.get_httpx_client().get("/v1/reports/usage", params=query).raise_for_status()
print(report.content.decode("utf-8-sig"))
