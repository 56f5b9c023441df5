"""The mutations: one small change each.

The names of variables and functions in ``old`` stand for any names, so that renaming them invalidates no mutation.
Names of classes, constants and built-in functions stand for themselves.
"""

from dataclasses import dataclass

from tests.mutants import lua_target, python_target


@dataclass(frozen=True)
class Lua:
    """Tokens of a script, which occur once in it."""

    script: str
    old: str
    new: str

    @property
    def file(self) -> str:
        return f"ratelimit_enforcer/store/scripts/{self.script}.lua"

    @property
    def place(self) -> str:
        return f"{self.script}.lua"

    def applied(self, source: str) -> str:
        """Raises :class:`~tests.mutants.targets.NotOnce`."""
        return lua_target.mutated(source, self.old, self.new)


@dataclass(frozen=True)
class Python:
    """An expression of a function, which occurs once in it."""

    module: str
    function: str
    old: str
    new: str

    @property
    def file(self) -> str:
        return f"ratelimit_enforcer/{self.module.replace('.', '/')}.py"

    @property
    def place(self) -> str:
        return f"{self.module}.{self.function}"

    def applied(self, source: str) -> str:
        """Raises :class:`~tests.mutants.targets.NotOnce`."""
        return python_target.mutated(source, self.function, self.old, self.new)


Mutation = Lua | Python

MUTATIONS: tuple[Mutation, ...] = (
    Lua("parts/in_force", "elseif its_token and its_token ~= token", "elseif its_token and its_token == token"),
    Lua("parts/in_force", "record:sub(1, #held) ~= held", "record:sub(1, #held) == held"),
    Lua("parts/in_force", "not complete and held == '' then", "not complete and held ~= '' then"),
    Lua("parts/in_force", "or now >= valid_until then", "or now > valid_until then"),
    Lua("parts/in_force", "elseif now < valid_from or", "elseif now <= valid_from or"),
    Lua(
        "parts/find_state",
        "if found_algorithm == algorithm and found_window == window",
        "if found_algorithm == algorithm or found_window == window",
    ),
    Lua("parts/sliding_window", "if last + length > now then", "if last + length >= now then"),
    Lua("parts/sliding_window", "a, run = a - spent, following", "a, run = a + spent, following"),
    Lua(
        "parts/sliding_window",
        "local cell = stop - run >= EXACT_RUNS * RUN_SIZE and length / CELLS if",
        "local cell = stop - run > EXACT_RUNS * RUN_SIZE and length / CELLS if",
    ),
    Lua("parts/sliding_window", "local EXACT_RUNS, CELLS = 64, 64", "local EXACT_RUNS, CELLS = 64, 32"),
    Lua(
        "parts/sliding_window",
        "if newest == at or (cell and floor(newest / cell) == floor(at / cell)",
        "if newest == at or (cell and floor(newest / cell) <= floor(at / cell)",
    ),
    Lua(
        "parts/sliding_window",
        "added, kept = added + newest_cost, math.max(run, kept - RUN_SIZE)",
        "added, kept = added - newest_cost, math.max(run, kept - RUN_SIZE)",
    ),
    Lua(
        "parts/sliding_window",
        "added, kept = added + newest_cost, math.max(run, kept - RUN_SIZE)",
        "added, kept = added + newest_cost, kept",
    ),
    Lua(
        "parts/sliding_window",
        "newest, newest_cost = now, later_cost else request_time = newest end",
        "newest, newest_cost = now, later_cost else request_time = now end",
    ),
    Lua("parts/sliding_window", "if newest - now > skew then", "if newest - now < skew then"),
    Lua("parts/sliding_window", "later = later + spent else", "later = spent else"),
    Lua("parts/sliding_window", "is_damaged = is_damaged or (d == NEVER and cost <= quota)", "is_damaged = is_damaged"),
    Lua("parts/sliding_window", "if a < 0 or c < 0 or (run >= stop and a > 0) then", "if a < 0 or c < 0 then"),
    Lua("parts/sliding_window", "if freed >= need then", "if freed > need then"),
    Lua("parts/sliding_window", "wait_for(a - quota + 1)", "wait_for(a - quota)"),
    Lua("parts/sliding_window", "if a > quota then b = wait_for", "if a < quota then b = wait_for"),
    Lua("parts/sliding_window", "elseif a + cost <= quota then", "elseif a + cost < quota then"),
    Lua("parts/bucket_now", "a = a - (now - since)", "a = a + (now - since)"),
    Lua("parts/bucket_now", "since, is_corrected = now, true", "is_corrected = true"),
    Lua("parts/bucket_now", "if a < 0 then a, b = 0, 0 end", "if a > 0 then a, b = 0, 0 end"),
    Lua("parts/bucket_now", "if its_quota ~= quota then", "if its_quota == quota then"),
    Lua("parts/bucket_now", "local ends_at = since + until_full", "local ends_at = since"),
    Lua("parts/bucket_now", "math.min(until_full, LONGEST), 0", "until_full, 0"),
    Lua(
        "parts/token_bucket",
        "then_used == burst and then_rest <= burst_rest",
        "then_used == burst and then_rest < burst_rest",
    ),
    Lua("parts/token_bucket", "then_rest = then_rest % quota", "then_rest = 0"),
    Lua("parts/fixed_window", "if now >= window_end then", "if now > window_end then"),
    Lua("parts/fixed_window", "since, window_end, is_corrected = now, present_end, true", "is_corrected = true"),
    Lua("parts/fixed_window", "or now - now % length + length", "or now + length"),
    Lua("parts/fixed_window", "then a, window_end = 0, present_end end", "then a, window_end = 1, present_end end"),
    Lua("parts/fixed_window", "algorithm == CALENDAR and token_or_end", "algorithm ~= CALENDAR and token_or_end"),
    Lua(
        "parts/policy",
        "if not limit_admits then policy_admits = false else",
        "if not limit_admits then policy_admits = policy_admits else",
    ),
    Lua("parts/counters", "admitted = admitted and mode == SHADOW", "admitted = admitted and mode == ENFORCE"),
    Lua("parts/write_counter", "if admitted and after[index] and verb", "if after[index] and verb"),
    Lua("decide", "if ARGV[args + 4] ~= '' then rules =", "if not rules and ARGV[args + 4] ~= '' then rules ="),
    Lua("decide", "if verb == 'count' then", "if verb ~= 'count' then"),
    Lua("parts/write_counter", "verb ~= 'look' then", "verb ~= 'count' then"),
    Lua("decide", "replies[#replies + 1] = stale break", "replies[#replies + 1] = stale"),
    Lua("parts/policy", "if matters > ends then", "if matters < ends then"),
    Lua(
        "parts/lifetime",
        "ceil((keep_until[index] - now) / 1000) + 1",
        "ceil((keep_until[index] - now) / 2000) + 1",
    ),
    Lua("parts/write_counter", "* 1000 < lengthened[index] then", "* 1000 > lengthened[index] then"),
    Lua("parts/counters", "elseif begun and ends <= kept_until and", "elseif begun and ends >= kept_until and"),
    Lua("parts/counters", "kept_until - ends <= (ends - now) / 8", "kept_until - ends >= 0"),
    Lua("parts/counters", "begun, 8, until_then) .. value:sub(first)", "begun, 8, until_then) .. value"),
    Lua("parts/counter", "if code == EXPIRY_CODE then", "if code ~= EXPIRY_CODE then"),
    Lua("decide", "if denying_mode == ENFORCE then", "if denying_mode == SHADOW then"),
    Lua("decide", "client, cost - 1)", "client, cost)"),
    Lua("decide", "and not admitted then kind = DENIED", "and admitted then kind = DENIED"),
    Lua("parts/usage", "new_counts >= tonumber(bound) and not", "new_counts >= tonumber(bound) and"),
    Lua("parts/usage", "> 8 * bound then", "> 80 * bound then"),
    Lua("parts/usage", "field, by) == by then", "field, by) ~= by then"),
    Python(
        "store.scripts.packing",
        "pack_rules",
        "FOREVER if valid_until is None else valid_until",
        "FOREVER if valid_until is None else valid_until + 1",
    ),
    Python("domain.sliding_window", "advance", "run.at + limit.window_us > now", "run.at + limit.window_us >= now"),
    Python("domain.sliding_window", "admits", "window.used + cost <= limit.quota", "window.used + cost < limit.quota"),
    Python("domain.sliding_window", "consume", "len(runs) >= EXACT_RUNS", "len(runs) > EXACT_RUNS"),
    Python("domain.sliding_window", "wait_for", "freed >= need", "freed > need"),
    Python(
        "domain.token_bucket",
        "admits",
        "_units(bucket) + cost * limit.window_us <= limit.capacity * limit.window_us",
        "_units(bucket) + cost * limit.window_us < limit.capacity * limit.window_us",
    ),
    Python("domain.token_bucket", "_refill", "bucket.used - (now - bucket.now)", "bucket.used - now"),
    Python(
        "domain.token_bucket", "advance", "bucket.quota not in (0, limit.quota)", "bucket.quota in (0, limit.quota)"
    ),
    Python("domain.token_bucket", "_refill", "bucket.rest if used >= 0 else 0", "bucket.rest if used > 0 else 0"),
    Python("domain.fixed_window", "advance", "now < span.end", "now <= span.end"),
    Python("domain.fixed_window", "admits", "span.used + cost <= limit.quota", "span.used + cost < limit.quota"),
    Python(
        "domain.counters", "Counters.check", "consume and admitted and all(row.admits(cost))", "consume and admitted"
    ),
    Python("domain.counters", "_all_admit", "row.policy.mode is Mode.ENFORCE", "row.policy.mode is Mode.SHADOW"),
    Python(
        "domain.counters",
        "_key",
        "client if policy.policy.partition is Partition.CLIENT else None",
        "client if client else None",
    ),
    Python("domain.calendar", "_week", "timedelta(days=today.weekday())", "timedelta(days=today.isoweekday())"),
    Python("domain.calendar", "_hour", "now - (now + offset) % _HOUR_US", "now - now % _HOUR_US"),
    Python("domain.decision", "_token_bucket", "max(0, free // window)", "max(0, -(-free // window))"),
    Python(
        "domain.decision",
        "_sliding_window",
        "reset if next_capacity == NEVER else next_capacity",
        "0 if next_capacity == NEVER else next_capacity",
    ),
    Python(
        "domain.decision",
        "_sliding_window",
        "(used + cost, limit.window_us + (retry if admits else 0))",
        "(used + cost, reset + (retry if admits else 0))",
    ),
    Python(
        "domain.decision",
        "states_of",
        "not consumes",
        "consumes",
    ),
    Python(
        "domain.decision",
        "_consumed",
        "all(reading[0] for reading in of_policy)",
        "any(reading[0] for reading in of_policy)",
    ),
    Python("domain.decision", "_refill_seconds", "-(-units // quota) / SECOND_US", "units // quota / SECOND_US"),
    Python(
        "domain.decision",
        "Decision.leading",
        "lambda state: (_wait(state), state.name)",
        "lambda state: (-_wait(state), state.name)",
    ),
    Python(
        "domain.decision",
        "_room",
        "(state.remaining, -state.reset_after, state.name)",
        "(state.remaining, state.reset_after, state.name)",
    ),
    Python("domain.selection", "effective", "edge <= now", "edge < now"),
    Python(
        "domain.selection",
        "effective",
        "tuple(policy for policy in dated if policy.is_active(now))",
        "tuple(policy for policy in dated if not policy.is_active(now))",
    ),
    Python(
        "domain.selection",
        "effective",
        "{date for policy in dated for date in policy.dates}",
        "{date for policy in policies for date in policy.dates}",
    ),
    Python(
        "domain.selection",
        "effective",
        "active.setdefault(override.policy, override)",
        "active.update({override.policy: override})",
    ),
    Python(
        "domain.segments",
        "SegmentOverrides.__init__",
        "sorted(overrides, key=lambda each: each.segment.precedence, reverse=True)",
        "sorted(overrides, key=lambda each: each.segment.precedence)",
    ),
    Python(
        "domain.segments",
        "SegmentOverrides.positions",
        "set(self._overrides[at].segment.tags) <= set(tags)",
        "set(self._overrides[at].segment.tags) & set(tags) == set(tags)",
    ),
    Python(
        "domain.segments",
        "Segment.precedence",
        "(1, len(self.tags)) if self.tags else (0, 0)",
        "(1, 0) if self.tags else (0, 0)",
    ),
    Python("domain.segments", "_properties_of", "length <= len(key)", "length < len(key)"),
    Python("domain.blocks", "Blocks.__init__", "int(network.network_address) >> shift", "int(network.network_address)"),
    Python("domain.blocks", "Blocks.__init__", "sorted(blocks, key=lambda each: each.until)", "blocks"),
    Python(
        "domain.blocks",
        "Blocks.of",
        "max(found, key=lambda block: block.until)",
        "max(found, key=lambda block: -block.until)",
    ),
    Python("domain.blocks", "Blocks.of", "length <= len(key)", "length < len(key)"),
    Python("domain.blocks", "Blocks._of_address", "version == its_version", "version >= its_version"),
    Python("domain.selection", "Selection.divided_at", "now < edge", "now <= edge"),
    Python(
        "domain.selection",
        "Selection.divided_at",
        "replace(self, valid_until=_earliest(edge, self.valid_until))",
        "replace(self, valid_until=self.valid_until)",
    ),
    Python(
        "domain.selection",
        "Selection.divided_at",
        "replace(self, valid_from=_latest(edge, self.valid_from))",
        "replace(self, valid_from=self.valid_from)",
    ),
    Python("engine.prepared_ruleset", "_status_of", "now < blocked_until", "now <= blocked_until"),
    Python(
        "engine.prepared_ruleset",
        "PreparedRuleset._key",
        "(record.status, plan, endpoint, segments, conditions, blocked_until)",
        "(record.status, plan, endpoint, segments, conditions, 0)",
    ),
    Python(
        "engine.fallback",
        "_local_decision",
        "STATUS_REASONS.get(attempt.layout.status)",
        "STATUS_REASONS.get(attempt.record.status)",
    ),
    Lua("parts/separate_values", "before >= max_values then", "before > max_values then"),
    Lua("parts/separate_values", "if not counter and values_key", "if values_key"),
    Lua("parts/count_value", "values.before == 0 then", "values.before ~= 0 then"),
    Lua("parts/count_value", "values.before + 1", "values.before"),
    Lua(
        "decide", "key_offset + 3 + policies + separate, argument_offset", "key_offset + 3 + policies, argument_offset"
    ),
    Python("domain.attributes", "values_digest", "_LENGTH.pack(len(data)) + data", "data"),
    Python(
        "domain.attributes",
        "_matches",
        "pattern == value if '*' not in pattern else _expression(pattern).fullmatch(value) is not None",
        "pattern == value if '*' not in pattern else _expression(pattern).match(value) is not None",
    ),
    Python("domain.attributes", "Match._unmatched", "tag not in tags", "tag in tags"),
    Python(
        "domain.selection",
        "select_all",
        "all(name in attributes for name in policy.attributes)",
        "any(name in attributes for name in policy.attributes)",
    ),
    Lua("parts/ancestors", "and (found[level] or complete)", "and found[level]"),
    Lua("parts/ancestors", "and not is_known and", "and is_known and"),
    Lua("parts/level", "mode = mode % LEVEL", "mode = mode % SEPARATE_VALUES"),
    Lua("parts/level", "if level > 0 then", "if level > 1 then"),
    Lua("parts/subject", "+ 3 + 2 * level", "+ 5 + 2 * level"),
    Lua("parts/once", "is_denied_by[slugs[index]] = true", "is_denied_by[slugs[index]] = nil"),
    Python("domain.selection", "_with_ancestors", "policy.plan is not None", "policy.plan is None"),
    Python(
        "domain.selection",
        "_with_ancestors",
        "ancestor.status is not ClientStatus.EXEMPT",
        "ancestor.status is ClientStatus.EXEMPT",
    ),
    Python("domain.selection", "_combined", "each.policy.slug not in shared", "True"),
    Python("domain.selection", "plan_of", "record.parent is None", "record.parent is not None"),
    Python("domain.client", "counter_owners", "max(moved, record.moved)", "record.moved"),
    Python("domain.dates", "is_between", "starts_at <= now", "starts_at < now"),
    Python("domain.dates", "is_between", "now < ends_at", "now <= ends_at"),
    Lua(
        "parts/in_force",
        "now = now < valid_from and valid_from or valid_until - 1",
        "now = now < valid_from and valid_from - 1 or valid_until",
    ),
    Lua("parts/in_force", "if client_field ~= 'c:' then reply", "if client_field == 'c:' then reply"),
    Python(
        "domain.selection", "effective", "policy.partition is Partition.CLIENT", "policy.partition is Partition.GLOBAL"
    ),
    Lua("admit_by_rate", "at(-1) <= now - window then", "at(-1) < now - window then"),
    Lua("admit_by_rate", "if entries >= quota then", "if entries > quota then"),
    Lua("admit_by_rate", "newest = math.max(newest, now)", "newest = math.min(newest, now)"),
    Lua("admit_by_rate", "return {1, entries + 1,", "return {1, entries,"),
    Lua(
        "admit_by_rate",
        "math.ceil((newest - now + window) / 1000) + 1",
        "math.ceil((newest - now + window) / 1000000) + 1",
    ),
    Lua("admit_by_rate", "if at(middle) > now - window then", "if at(middle) < now - window then"),
    Lua("admit_by_rate", "if newest - now > math.min(window / 64, 1000000) then", "if newest - now < 0 then"),
    Python("domain.rate", "parse_rate", "int(times or 1)", "int(times or 0)"),
    Python(
        "domain.rate", "parse_rate", "1 <= rate.window <= MAX_WINDOW_SECONDS", "0 <= rate.window <= MAX_WINDOW_SECONDS"
    ),
    Python("domain.headers", "_room", "(decision.allowed, -denied_for, inf)", "(decision.allowed, denied_for, inf)"),
    Python(
        "domain.headers",
        "_room",
        "(decision.allowed, -denied_for, leading.remaining, -leading.reset_after)",
        "(decision.allowed, -denied_for, leading.remaining, leading.reset_after)",
    ),
    Python("protection", "Verdict.retry_after", "max(wait, 1.0)", "wait"),
    Python(
        "protection",
        "admits_without_rules",
        'setting("WITHOUT_RULESET") == "allow"',
        'setting("WITHOUT_RULESET") != "allow"',
    ),
    Python(
        "store.scripts.packing",
        "_times",
        "(window_bounds(limit, now)[1], beyond, grants, 0)",
        "(window_bounds(limit, now)[0], beyond, grants, 0)",
    ),
    Lua("parts/pending", "tonumber(oldest[2]) <= now and", "tonumber(oldest[2]) < now and"),
    Lua("parts/pending", ">= 4096 then", "> 4096 then"),
    Lua("parts/pending", "'ZADD', due, now + patience", "'ZADD', due, now"),
    Lua("commit", "if not due or tonumber(due) <= now", "if not due or tonumber(due) < now"),
    Lua("commit", "if not due or tonumber(due) <= now", "if due and tonumber(due) <= now"),
    Lua("commit", "'+inf') >= 100000", "'+inf') >= 1000000"),
    Lua("commit", "KEYS[6], '-inf', remembered_since", "KEYS[6], '-inf', '-inf'"),
    Lua("refund", "if not declared[consumed.key] then", "if declared[consumed.key] then"),
    Lua("refund", "redis.call('HDEL', KEYS[2], entry)", "redis.call('HDEL', KEYS[2], 'none')"),
    Lua("refund", "local keys = #KEYS - 3", "local keys = #KEYS - 2"),
    Lua("parts/refunding", "if at >= limit.mark then if at", "if at > limit.mark then if at"),
    Lua("parts/refunding", "and following <= #state then", "then"),
    Lua("parts/refunding", "if label >= limit.mark then least", "if label > limit.mark then least"),
    Lua("parts/refunding", "if least < UNBOUNDED then least, rest", "if least == UNBOUNDED then least, rest"),
    Lua("parts/refunding", "if label < mark then", "if label <= mark then"),
    Lua("parts/refunding", "if is_lesser(each[2], each[3], first, rest) then", "if each[2] then"),
    Lua("parts/refunding", "if window_end ~= limit.mark then", "if window_end == limit.mark then"),
    Lua("parts/refunding", "or beginning ~= consumed.beginning then", "then"),
    Lua(
        "parts/refunding",
        "return pack('>I8I8I4', last_request, window_end, remaining)",
        "return pack('>I8I8I4', last_request, window_end, used)",
    ),
    Lua("parts/minima", "until_full < reserved * (token + 1)", "until_full > reserved * (token + 1)"),
    Lua("parts/minima", "if kept < #minima then", "if kept > #minima then"),
    Lua("parts/track", "if least < UNBOUNDED then label = label + 1", "if least < 0 then label = label + 1"),
    Lua("parts/track", "reserved + cost, label", "reserved, label"),
    Lua("parts/track", "if later - earlier < least then", "if later - earlier > least then"),
    Lua("parts/concurrency", "= taken < quota, now", "= taken <= quota, now"),
    Lua("parts/amount", "math.max(at_least, math.min(wanted, available))", "math.min(wanted, available)"),
    Lua("parts/available", "if mode == ENFORCE then", "if mode == SHADOW then"),
    Lua("parts/bound", ">= max_open then", "> max_open then"),
    Lua("parts/bound", "and kind == ADMITTED and", "and"),
    Lua(
        "parts/known", "consumption == RESERVATION and verb ~= 'look'", "consumption == RESERVATION and verb == 'look'"
    ),
    Lua("parts/debit", "if limit_admits or used >= quota + granted then break", "if limit_admits then break"),
    Lua("parts/debit", "if consumed.mode == ENFORCE then", "if consumed.mode == SHADOW then"),
    Lua("parts/debit", "math.min(excess, debit)", "excess"),
    Lua("parts/debit", "if beginning and needed <= expiry then", "if beginning and needed >= expiry then"),
    Lua("parts/debit_bucket", "if most >= MAX_DEBT_US then", "if most < MAX_DEBT_US then"),
    Lua("settle", "or reserved, now < refundable_until", "or reserved, now <= refundable_until"),
    Lua("settle", "if content ~= ARGV[1] then", "if not content then"),
    Python("domain.sliding_window", "refund", "found == len(window.runs) - 1", "found == 0"),
    Python("domain.sliding_window", "debit", "limit.quota + MAX_DEBT - window.used", "limit.quota - window.used"),
    Python(
        "domain.token_bucket",
        "_with_present_usage",
        "bucket.used >= bucket.reserved * (limit.window_us // limit.quota + 1)",
        "bucket.used < bucket.reserved * (limit.window_us // limit.quota + 1)",
    ),
    Python("domain.token_bucket", "refund", "min(cost * limit.window_us, bounds[0])", "cost * limit.window_us"),
    Python("domain.counters", "Counters.settle", "now < reserved.until", "now <= reserved.until"),
    Python("domain.counters", "Counters._refund", "found.beginning != counter.beginning", "found.beginning == 0"),
    Lua("outcome", "if tonumber(due) > clock", "if tonumber(due) >= clock"),
    Lua("outcome", "'ZSCORE', KEYS[3], entry", "'ZSCORE', KEYS[1], entry"),
    Lua("overdue", "'-inf', now, 'LIMIT'", "'-inf', now - 1, 'LIMIT'"),
    Python("store.completer", "Resolver._resolve", "found.age < REFUNDED_UNTIL", "found.age <= REFUNDED_UNTIL"),
    Python("store.completer", "Resolver._resolve", "outcome is Outcome.OPEN", "outcome is Outcome.COMMITTED"),
    Python(
        "store.completer",
        "Resolver._resolve",
        "outcome is Outcome.REFUNDED and found.age < REFUNDED_UNTIL",
        "outcome is Outcome.REFUNDED or found.age < REFUNDED_UNTIL",
    ),
    Python("store.completer", "Completer._attempt", "shard in self._unavailable", "shard not in self._unavailable"),
    Python(
        "store.completer",
        "Completer._confirm",
        "job.parts or self._is_unavailable(job.home)",
        "job.parts and self._is_unavailable(job.home)",
    ),
    Python(
        "store.completer",
        "Completer._put",
        "len(self._urgent) + len(self._confirmations) >= MAX_JOBS",
        "len(self._urgent) + len(self._confirmations) > MAX_JOBS",
    ),
    Python(
        "store.completer",
        "Completer._look_up_outcome",
        "outcome is Outcome.COMMITTED",
        "outcome is not Outcome.COMMITTED",
    ),
    Python("store.split_decider", "SplitCheck._commit", "not committed", "committed"),
    Python(
        "store.split_decider", "SplitCheck._commit", "InDoubt(home, tuple(others))", "Confirmation(home, tuple(others))"
    ),
    Lua("together", "if not before or cost > before.cost then", "if not before or cost < before.cost then"),
    Lua("together", "both = both and admitted and kind ~= BLOCKED", "both = admitted and kind ~= BLOCKED"),
    Lua("together", "admitted and kind ~= BLOCKED", "admitted and kind ~= EXEMPT"),
    Lua("together", "if first[field] == number then", "if first[field] <= number then"),
    Lua("together", "highest[field] = max(cost, highest[field] or 0)", "highest[field] = cost"),
    Lua("together", "local cost = max(1, consumed)", "local cost = consumed"),
    Lua("together", "if mode and not denied[name] then", "if mode then"),
    Lua("together", "if consumer[KEYS[keys + 3 + index]] == number then", "if number then"),
    Lua("together", "if consumer[KEYS[keys + 3 + reached[1]]] == number then", "if number then"),
    Lua(
        "together",
        "local keys, admitted = request.key_offset, all and request.cost > 0",
        "local keys, admitted = request.key_offset, all",
    ),
    Lua("together", "if value then value.before", "if value == 0 then value.before"),
    Lua(
        "together",
        "elseif all then count(keys, record, POLICY_WOULD_DENY",
        "elseif not all then count(keys, record, POLICY_WOULD_DENY",
    ),
    Python(
        "domain.counters",
        "Counters.check_together",
        "consume and all(admitted) and all(row.admits(cost))",
        "consume and all(row.admits(cost))",
    ),
    Lua(
        "parts/refunding_newest",
        "if at + window <= now then break end",
        "if at + window < now - 1000000 then break end",
    ),
    Lua("parts/refunding_newest", "if refunded < cost or ended == #state then", "if refunded < cost then"),
    Lua("parts/refunding_newest", "used - (cost - left)) .. state", "used - cost) .. state"),
    Lua("parts/refunding_newest", "if #state > 40 then", "if #state > 4000 then"),
    Lua("parts/refunding_newest", "local full, rest = stored - (now - last), left", "local full, rest = stored, left"),
    Lua("parts/refunding_newest", "now < ends and math.min", "now and math.min"),
    Lua("settle", "math.max(0, -settled)", "math.max(0, settled)"),
    Lua("settle", "newest = math.max(newest, cost)", "newest = cost"),
    Python("domain.sliding_window", "refund_newest", "run.cost - refunded", "run.cost"),
    Python("domain.token_bucket", "refund_newest", "-(-units // limit.window_us)", "units // limit.window_us"),
)
