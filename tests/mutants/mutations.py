"""The mistakes: one token of one file, each."""

from dataclasses import dataclass

LUA = "limits/store/lua/decide.lua"
SLIDING = "limits/domain/sliding_window.py"
BUCKET = "limits/domain/token_bucket.py"
FIXED = "limits/domain/fixed_window.py"
COUNTERS = "limits/domain/counters.py"
CALENDAR = "limits/domain/calendar.py"
DECISION = "limits/domain/decision.py"
SELECTION = "limits/domain/selection.py"
PACKING = "limits/store/packing.py"
RATE_LUA = "limits/store/lua/admit_by_rate.lua"
RATE = "limits/domain/rate.py"
HEADERS = "limits/domain/headers.py"
PROTECTION = "limits/protection.py"


@dataclass(frozen=True)
class Mutation:
    """``old`` stands in the file exactly once and becomes ``new``."""

    file: str
    old: str
    new: str


MUTATIONS = (
    Mutation(LUA, "if token and token ~= ARGV", "if token and token == ARGV"),
    Mutation(LUA, "string.sub(record, 1, #held) ~= held", "string.sub(record, 1, #held) == held"),
    Mutation(LUA, "elseif held == '' then", "elseif held ~= '' then"),
    Mutation(LUA, "now >= tonumber(valid_until)", "now > tonumber(valid_until)"),
    Mutation(LUA, "now < tonumber(valid_from)", "now <= tonumber(valid_from)"),
    Mutation(LUA, "if kind == algorithm and code == span", "if kind == algorithm or code == span"),
    Mutation(LUA, "if last + limit.length > limit.now then break", "if last + limit.length >= limit.now then break"),
    Mutation(LUA, "used, at = used - spent, next_at", "used, at = used + spent, next_at"),
    Mutation(LUA, "if #runs >= EXACT_RUNS * RUN_SIZE then", "if #runs > EXACT_RUNS * RUN_SIZE then"),
    Mutation(LUA, "local EXACT_RUNS, CELLS = 64, 64", "local EXACT_RUNS, CELLS = 64, 32"),
    Mutation(
        LUA, "if floor(last / cell) == floor(limit.now / cell)", "if floor(last / cell) <= floor(limit.now / cell)"
    ),
    Mutation(LUA, "added + spent", "added - spent"),
    Mutation(LUA, "if freed >= need then", "if freed > need then"),
    Mutation(LUA, "math.max(1, over + 1)", "math.max(1, over)"),
    Mutation(LUA, "used = used - (limit.now - at)", "used = used + (limit.now - at)"),
    Mutation(LUA, "if used < 0 then used, rest = 0, 0 end", "if used > 0 then used, rest = 0, 0 end"),
    Mutation(LUA, "if quota ~= limit.quota and limit.quota > 0", "if quota == limit.quota and limit.quota > 0"),
    Mutation(LUA, "used, rest = limit.burst, limit.burst_rest", "used, rest = 0, limit.burst_rest"),
    Mutation(LUA, "whole == other_whole and rest > other_rest", "whole == other_whole and rest >= other_rest"),
    Mutation(LUA, "limit.then_rest = rest % limit.quota", "limit.then_rest = 0"),
    Mutation(LUA, "if limit.now >= ends then", "if limit.now > ends then"),
    Mutation(LUA, "limit.now - limit.now % length + length", "limit.now + length"),
    Mutation(LUA, "and limit.quota > 0 and rest or NEVER", "and limit.quota > 1 and rest or NEVER"),
    Mutation(LUA, "cost <= limit.quota and rest or NEVER", "cost < limit.quota and rest or NEVER"),
    Mutation(
        LUA, "policy.admits = policy.admits and policy[position].admits", "policy.admits = policy[position].admits"
    ),
    Mutation(LUA, "(policy.admits or enforced == 0)", "(policy.admits or enforced == 1)"),
    Mutation(LUA, "if admitted and policy.admits then write", "if policy.admits then write"),
    Mutation(LUA, "if ARGV[args + 6] == '1' then", "if ARGV[args + 6] == '0' then"),
    Mutation(LUA, "if reply[1] ~= 0 then break end", "if reply[1] == 9 then break end"),
    Mutation(LUA, "local next_capacity = wait_for(limit,", "local next_capacity = 1 + wait_for(limit,"),
    Mutation(LUA, "expires_after = math.max(expires_after", "expires_after = math.min(expires_after"),
    Mutation(LUA, "policy.enforced == 1 and 'd' or 's'", "policy.enforced == 0 and 'd' or 's'"),
    Mutation(LUA, "count(after, string.upper(kind), '', cost - 1)", "count(after, string.upper(kind), '', cost)"),
    Mutation(LUA, "new_counts >= bound and not registered", "new_counts >= bound and registered"),
    Mutation(SLIDING, "if run.at + limit.window_us > now)", "if run.at + limit.window_us >= now)"),
    Mutation(SLIDING, "window.used + cost <= limit.quota", "window.used + cost < limit.quota"),
    Mutation(SLIDING, "len(runs) >= EXACT_RUNS", "len(runs) > EXACT_RUNS"),
    Mutation(SLIDING, "if freed >= need:", "if freed > need:"),
    Mutation(BUCKET, "cost * limit.window_us <= limit.capacity", "cost * limit.window_us < limit.capacity"),
    Mutation(BUCKET, "used = bucket.used - (now - bucket.now)", "used = bucket.used - now"),
    Mutation(BUCKET, "rest=bucket.rest if used >= 0 else 0", "rest=bucket.rest if used > 0 else 0"),
    Mutation(FIXED, "if now < span.end:", "if now <= span.end:"),
    Mutation(FIXED, "span.used + cost <= limit.quota", "span.used + cost < limit.quota"),
    Mutation(COUNTERS, "if consume and admitted and all(answer):", "if consume and all(answer):"),
    Mutation(COUNTERS, "if p.mode is Mode.ENFORCE)", "if p.mode is Mode.SHADOW)"),
    Mutation(COUNTERS, "if policy.policy.partition is Partition.CLIENT else None", "if client else None"),
    Mutation(CALENDAR, "timedelta(days=today.weekday())", "timedelta(days=today.isoweekday())"),
    Mutation(CALENDAR, "now - (now + offset) % _HOUR", "now - now % _HOUR"),
    Mutation(DECISION, "remaining = free // window", "remaining = -(-free // window)"),
    Mutation(DECISION, "return -(-units // quota) / SECOND", "return units // quota / SECOND"),
    Mutation(DECISION, "key=lambda state: (_wait(state), state.name)", "key=lambda state: (-_wait(state), state.name)"),
    Mutation(
        DECISION,
        "(state.remaining, -state.reset_after, state.name)",
        "(state.remaining, state.reset_after, state.name)",
    ),
    Mutation(SELECTION, "if edge <= now), default=None)", "if edge < now), default=None)"),
    Mutation(SELECTION, "policy.partition is Partition.CLIENT}", "policy.partition is Partition.GLOBAL}"),
    Mutation(RATE_LUA, "tonumber(oldest) <= now - window", "tonumber(oldest) < now - window"),
    Mutation(RATE_LUA, "if entries >= quota then", "if entries > quota then"),
    Mutation(RATE_LUA, "if newest then now = math.max", "if newest then now = math.min"),
    Mutation(RATE_LUA, "return {1, entries + 1,", "return {1, entries,"),
    Mutation(RATE_LUA, "math.ceil(window / 1000) + 1", "math.ceil(window / 1000000) + 1"),
    Mutation(RATE_LUA, "'LINDEX', KEYS[1], -1)\nwhile", "'LINDEX', KEYS[1], 0)\nwhile"),
    Mutation(RATE, "int(times or 1)", "int(times or 0)"),
    Mutation(RATE, "if not 1 <= rate.window", "if not 0 <= rate.window"),
    Mutation(HEADERS, "return decision.allowed, -denied_for, inf", "return decision.allowed, denied_for, inf"),
    Mutation(HEADERS, "leading.remaining, -leading.reset_after", "leading.remaining, leading.reset_after"),
    Mutation(PROTECTION, "max(wait, 1.0)", "wait"),
    Mutation(PROTECTION, 'setting("WITHOUT_RULESET") == "allow"', 'setting("WITHOUT_RULESET") != "allow"'),
    Mutation(PACKING, "return span_around(limit, now)[1], 0, 0, 0", "return span_around(limit, now)[0], 0, 0, 0"),
)
