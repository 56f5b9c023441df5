-- Codes in packed rules, replies and counters; Python has the same (tests/store/test_scripts.py).
local SLIDING_WINDOW, TOKEN_BUCKET, FIXED_WINDOW, CALENDAR = 1, 2, 3, 4
local SHADOW, ENFORCE, SEPARATE_VALUES, LEVEL = 0, 1, 2, 4
local RULES_CHANGED, CLIENT_CHANGED, OUTSIDE_VALIDITY, NOT_LOADED, DAMAGED, VALUES_EXHAUSTED = 1, 2, 3, 4, 5, 6
local COMPLETE, UNCOUNTED, COUNT_DAMAGED = 1, 2, 4
local NEVER = -1
