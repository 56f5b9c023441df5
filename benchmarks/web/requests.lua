-- Requests for wrk: wrk … -s requests.lua URL -- KIND TOKEN
--
-- KIND is get (a request to the shop), check (one check in JSON, three limits), one (one limit), batch (a hundred
-- checks) or envoyproxy (a descriptor, for the HTTP interface of envoyproxy/ratelimit). A thousand clients in turn; all requests are built before the first is sent. The last line of the output is JSON.
local CLIENTS, TOGETHER = 1000, 100
local requests, at = {}, 0

local BODIES = {
  check = '{"client": "client-%d", "endpoint": "three"}',
  one = '{"client": "client-%d", "endpoint": "one"}',
  envoyproxy = '{"domain": "bench", "descriptors": [{"entries": [{"key": "client", "value": "client-%d"}]}]}',
}

local function check(client, kind)
  return string.format(BODIES[kind or 'check'], client)
end

local function batch(first)
  local checks = {}
  for client = first, first + TOGETHER - 1 do checks[#checks + 1] = check(client) end
  return '{"checks": [' .. table.concat(checks, ', ') .. ']}'
end

function init(arguments)
  local kind, token = arguments[1], arguments[2]
  local headers = {['Authorization'] = 'Bearer ' .. token, ['Content-Type'] = 'application/json'}
  for client = 1, CLIENTS, kind == 'batch' and TOGETHER or 1 do
    if kind == 'get' then
      headers['X-Shop-Key'] = 'client-' .. client
      requests[#requests + 1] = wrk.format('GET', nil, headers)
    else
      local body = kind == 'batch' and batch(client) or check(client, kind)
      requests[#requests + 1] = wrk.format('POST', nil, headers, body)
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  print(string.format('\n{"requests": %d, "us": %d, "p50_us": %.1f, "p99_us": %.1f, "bad": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), bad))
end
