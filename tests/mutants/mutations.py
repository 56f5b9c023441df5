"""The mistakes: one token of one file, each."""

from dataclasses import dataclass

LUA = "limits/store/lua/decide.lua"
SLIDING_LUA = "limits/store/lua/parts/sliding_window.lua"
BUCKET_LUA = "limits/store/lua/parts/token_bucket.lua"
FIXED_LUA = "limits/store/lua/parts/fixed_window.lua"
SECTION = "limits/store/lua/parts/section.lua"
USAGE = "limits/store/lua/parts/usage.lua"
PENDING = "limits/store/lua/parts/pending.lua"
COMMIT = "limits/store/lua/commit.lua"
REFUND = "limits/store/lua/refund.lua"
OUTCOME = "limits/store/lua/outcome.lua"
OVERDUE = "limits/store/lua/overdue.lua"
RESOLVER = "limits/store/resolver.py"
COMPLETER = "limits/store/completer.py"
SPLIT_CHECK = "limits/store/split_check.py"
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
    Mutation(LUA, "if its_token and its_token ~= token", "if its_token and its_token == token"),
    Mutation(LUA, "record:sub(1, #held) ~= held", "record:sub(1, #held) == held"),
    Mutation(LUA, "not complete and held == '' then", "not complete and held ~= '' then"),
    Mutation(LUA, "now >= valid_until", "now > valid_until"),
    Mutation(LUA, "now < valid_from", "now <= valid_from"),
    Mutation(SECTION, "if kind == algorithm and code == span", "if kind == algorithm or code == span"),
    Mutation(SLIDING_LUA, "if last + length > now then", "if last + length >= now then"),
    Mutation(SLIDING_LUA, "a, run = a - spent, following", "a, run = a + spent, following"),
    Mutation(SLIDING_LUA, "if stop - run >= EXACT_RUNS * RUN_SIZE then", "if stop - run > EXACT_RUNS * RUN_SIZE then"),
    Mutation(SLIDING_LUA, "local EXACT_RUNS, CELLS = 64, 64", "local EXACT_RUNS, CELLS = 64, 32"),
    Mutation(
        SLIDING_LUA,
        "if floor(newest / cell) == floor(at / cell)",
        "if floor(newest / cell) <= floor(at / cell)",
    ),
    Mutation(SLIDING_LUA, "cost + newest_cost", "cost - newest_cost"),
    Mutation(
        SLIDING_LUA,
        "added, kept = cost + newest_cost, stop - RUN_SIZE",
        "added, kept = cost + newest_cost, stop",
    ),
    Mutation(SLIDING_LUA, "      at = newest\n", "      at = now\n"),
    Mutation(SLIDING_LUA, "if newest - now > skew then", "if newest - now < skew then"),
    Mutation(SLIDING_LUA, "later = later + spent", "later = spent"),
    Mutation(SLIDING_LUA, "is_damaged = is_damaged or (d == NEVER and cost <= quota)", "is_damaged = is_damaged"),
    Mutation(SLIDING_LUA, "if a < 0 or c < 0 or (run >= stop and a > 0) then", "if a < 0 or c < 0 then"),
    Mutation(SLIDING_LUA, "if freed >= need then", "if freed > need then"),
    Mutation(SLIDING_LUA, "wait_for(a - quota + 1)", "wait_for(a - quota)"),
    Mutation(SLIDING_LUA, "if a > quota then b = wait_for", "if a < quota then b = wait_for"),
    Mutation(SLIDING_LUA, "if a + cost <= quota then", "if a + cost < quota then"),
    Mutation(BUCKET_LUA, "a = a - (now - since)", "a = a + (now - since)"),
    Mutation(BUCKET_LUA, "since, is_corrected = now, true", "is_corrected = true"),
    Mutation(BUCKET_LUA, "if a < 0 then a, b = 0, 0 end", "if a > 0 then a, b = 0, 0 end"),
    Mutation(BUCKET_LUA, "if its_quota ~= quota then", "if its_quota == quota then"),
    Mutation(BUCKET_LUA, "local ends_at = since + math.min(a, 31622400000000)", "local ends_at = since"),
    Mutation(BUCKET_LUA, "then a, b = burst, burst_rest end", "then a, b = 0, burst_rest end"),
    Mutation(
        BUCKET_LUA, "then_used == burst and then_rest <= burst_rest", "then_used == burst and then_rest < burst_rest"
    ),
    Mutation(BUCKET_LUA, "then_rest = then_rest % quota", "then_rest = 0"),
    Mutation(FIXED_LUA, "if now >= window_end then", "if now > window_end then"),
    Mutation(FIXED_LUA, "since, window_end, is_corrected = now, present_end, true", "is_corrected = true"),
    Mutation(FIXED_LUA, "or now - now % length + length", "or now + length"),
    Mutation(FIXED_LUA, "then a, window_end = 0, present_end end", "then a, window_end = 1, present_end end"),
    Mutation(FIXED_LUA, "algorithm == CALENDAR and token_or_end", "algorithm ~= CALENDAR and token_or_end"),
    Mutation(LUA, "        admits = false\n", "        admits = admits\n"),
    Mutation(LUA, "admitted = admitted and mode == 0", "admitted = admitted and mode == 1"),
    Mutation(LUA, "if admitted and after[index] and verb", "if after[index] and verb"),
    Mutation(LUA, "if ARGV[args + 4] ~= ''", "if not rules and ARGV[args + 4] ~= ''"),
    Mutation(LUA, "if verb == 'count' then", "if verb ~= 'count' then"),
    Mutation(LUA, "verb ~= 'look' then", "verb ~= 'count' then"),
    Mutation(LUA, "    replies[#replies + 1] = stale\n    break\n", "    replies[#replies + 1] = stale\n"),
    Mutation(LUA, "if matters > ends then", "if matters < ends then"),
    Mutation(LUA, "ceil((keep_until[index] - now) / 1000) + 1", "ceil((keep_until[index] - now) / 2000) + 1"),
    Mutation(LUA, "* 1000 < lengthened[index] then", "* 1000 > lengthened[index] then"),
    Mutation(LUA, "elseif ends <= kept_until and", "elseif ends >= kept_until and"),
    Mutation(LUA, "kept_until - ends <= (ends - now) / 8", "kept_until - ends >= 0"),
    Mutation(LUA, "0, 8, until_then) .. value:sub(first)", "0, 8, until_then) .. value"),
    Mutation(LUA, "if head == KEPT then first", "if head ~= KEPT then first"),
    Mutation(LUA, "denied[index] == 1 and 'd' or 's'", "denied[index] == 0 and 'd' or 's'"),
    Mutation(LUA, "client, cost - 1)", "client, cost)"),
    Mutation(LUA, "and not admitted then kind = 'd'", "and admitted then kind = 'd'"),
    Mutation(USAGE, "new_counts >= tonumber(bound) and not", "new_counts >= tonumber(bound) and"),
    Mutation(USAGE, "> 8 * bound then", "> 80 * bound then"),
    Mutation(USAGE, "field, by) == by then", "field, by) ~= by then"),
    Mutation(PACKING, "else valid_until", "else valid_until + 1"),
    Mutation(SLIDING, "if run.at + limit.window_us > now)", "if run.at + limit.window_us >= now)"),
    Mutation(SLIDING, "window.used + cost <= limit.quota", "window.used + cost < limit.quota"),
    Mutation(SLIDING, "len(runs) >= EXACT_RUNS", "len(runs) > EXACT_RUNS"),
    Mutation(SLIDING, "if freed >= need:", "if freed > need:"),
    Mutation(BUCKET, "cost * limit.window_us <= limit.capacity", "cost * limit.window_us < limit.capacity"),
    Mutation(BUCKET, "used = bucket.used - (now - bucket.now)", "used = bucket.used - now"),
    Mutation(BUCKET, "if bucket.quota not in (0, limit.quota)", "if bucket.quota in (0, limit.quota)"),
    Mutation(BUCKET, "rest=bucket.rest if used >= 0 else 0", "rest=bucket.rest if used > 0 else 0"),
    Mutation(FIXED, "if now < span.end:", "if now <= span.end:"),
    Mutation(FIXED, "span.used + cost <= limit.quota", "span.used + cost < limit.quota"),
    Mutation(COUNTERS, "if consume and admitted and all(answer):", "if consume and all(answer):"),
    Mutation(COUNTERS, "if p.mode is Mode.ENFORCE)", "if p.mode is Mode.SHADOW)"),
    Mutation(COUNTERS, "if policy.policy.partition is Partition.CLIENT else None", "if client else None"),
    Mutation(CALENDAR, "timedelta(days=today.weekday())", "timedelta(days=today.isoweekday())"),
    Mutation(CALENDAR, "now - (now + offset) % _HOUR", "now - now % _HOUR"),
    Mutation(DECISION, "remaining = max(0, free // window)", "remaining = max(0, -(-free // window))"),
    Mutation(
        DECISION,
        "next_capacity = reset if next_capacity == NEVER",
        "next_capacity = 0 if next_capacity == NEVER",
    ),
    Mutation(DECISION, "used, reset = used + cost, limit.window_us", "used, reset = used + cost, reset"),
    Mutation(DECISION, "_taken(policies, readings) if consumes", "_taken(policies, readings) if not consumes"),
    Mutation(DECISION, "repeat(all(its), len(its))", "repeat(any(its), len(its))"),
    Mutation(DECISION, "return -(-units // quota) / SECOND", "return units // quota / SECOND"),
    Mutation(DECISION, "key=lambda state: (_wait(state), state.name)", "key=lambda state: (-_wait(state), state.name)"),
    Mutation(
        DECISION,
        "return state.remaining, -state.reset_after, state.name",
        "return state.remaining, state.reset_after, state.name",
    ),
    Mutation(SELECTION, "if edge <= now), default=None)", "if edge < now), default=None)"),
    Mutation(SELECTION, "policy.partition is Partition.CLIENT}", "policy.partition is Partition.GLOBAL}"),
    Mutation(RATE_LUA, "at(-1) <= now - window then", "at(-1) < now - window then"),
    Mutation(RATE_LUA, "if entries >= quota then", "if entries > quota then"),
    Mutation(RATE_LUA, "newest = math.max(newest, now)", "newest = math.min(newest, now)"),
    Mutation(RATE_LUA, "return {1, entries + 1,", "return {1, entries,"),
    Mutation(
        RATE_LUA, "math.ceil((newest - now + window) / 1000) + 1", "math.ceil((newest - now + window) / 1000000) + 1"
    ),
    Mutation(RATE_LUA, "if at(middle) > now - window then", "if at(middle) < now - window then"),
    Mutation(RATE_LUA, "if newest - now > math.min(window / 64, 1000000) then", "if newest - now < 0 then"),
    Mutation(RATE, "int(times or 1)", "int(times or 0)"),
    Mutation(RATE, "if not 1 <= rate.window", "if not 0 <= rate.window"),
    Mutation(HEADERS, "return decision.allowed, -denied_for, inf", "return decision.allowed, denied_for, inf"),
    Mutation(HEADERS, "leading.remaining, -leading.reset_after", "leading.remaining, leading.reset_after"),
    Mutation(PROTECTION, "max(wait, 1.0)", "wait"),
    Mutation(PROTECTION, 'setting("WITHOUT_RULESET") == "allow"', 'setting("WITHOUT_RULESET") != "allow"'),
    Mutation(PACKING, "return span_around(limit, now)[1], 0, 0, 0", "return span_around(limit, now)[0], 0, 0, 0"),
    Mutation(PENDING, "tonumber(oldest[2]) <= now and", "tonumber(oldest[2]) < now and"),
    Mutation(PENDING, "consumed .. (after[index] and 1 or 0)", "consumed .. (after[index] and 0 or 1)"),
    Mutation(PENDING, ">= 4096 then", "> 4096 then"),
    Mutation(PENDING, "'ZADD', due, now + patience", "'ZADD', due, now"),
    Mutation(COMMIT, "if not due or tonumber(due) <= now", "if not due or tonumber(due) < now"),
    Mutation(COMMIT, "if not due or tonumber(due) <= now", "if due and tonumber(due) <= now"),
    Mutation(COMMIT, "'+inf') >= 100000", "'+inf') >= 1000000"),
    Mutation(COMMIT, "KEYS[6], '-inf', remembered_since", "KEYS[6], '-inf', '-inf'"),
    Mutation(REFUND, "if key ~= KEYS[2 + index]", "if key == KEYS[2 + index]"),
    Mutation(REFUND, "consumed:sub(index, index) == '1' and", "consumed:sub(index, index) ~= '2' and"),
    Mutation(REFUND, "if last >= consumed_at and left > 0", "if last > consumed_at and left > 0"),
    Mutation(REFUND, "#state - 11) >= consumed_at + length", "#state - 11) > consumed_at + length"),
    Mutation(REFUND, "math.max(0, since - consumed_at)", "0"),
    Mutation(REFUND, "if ends ~= (period_end or", "if ends == (period_end or"),
    Mutation(REFUND, "redis.call('HDEL', KEYS[2], ARGV[1])", "redis.call('HDEL', KEYS[2], 'none')"),
    Mutation(REFUND, "local keys, bound, minute = 2 + policies", "local keys, bound, minute = 3 + policies"),
    Mutation(OUTCOME, "if tonumber(due) > clock", "if tonumber(due) >= clock"),
    Mutation(OUTCOME, "'ZSCORE', KEYS[3], ARGV[1]", "'ZSCORE', KEYS[1], ARGV[1]"),
    Mutation(OVERDUE, "'-inf', now, 'LIMIT'", "'-inf', now - 1, 'LIMIT'"),
    Mutation(RESOLVER, "found.age < REFUNDED_UNTIL", "found.age <= REFUNDED_UNTIL"),
    Mutation(RESOLVER, "if outcome is Outcome.OPEN:", "if outcome is Outcome.COMMITTED:"),
    Mutation(RESOLVER, "if outcome is Outcome.REFUNDED and", "if outcome is Outcome.REFUNDED or"),
    Mutation(COMPLETER, "if bucket in self._unavailable:", "if bucket not in self._unavailable:"),
    Mutation(COMPLETER, "if job.parts or self._is_unavailable", "if job.parts and self._is_unavailable"),
    Mutation(COMPLETER, "+ len(self._confirmations) >= MOST", "+ len(self._confirmations) > MOST"),
    Mutation(COMPLETER, "if outcome is Outcome.COMMITTED:", "if outcome is not Outcome.COMMITTED:"),
    Mutation(SPLIT_CHECK, "        if not committed:", "        if committed:"),
    Mutation(SPLIT_CHECK, "add([Question(home,", "add([Confirmation(home,"),
)
