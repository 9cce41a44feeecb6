-- What wrk sends (arguments: a file with the body, then "name: value" headers) and what it tells: one line of JSON.

local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long s; long ns; } celeriac_time;
    int clock_gettime(int clock, celeriac_time *time);
]]
local MONOTONIC = 1
local time = ffi.new("celeriac_time")

local function now_s()
    ffi.C.clock_gettime(MONOTONIC, time)
    return tonumber(time.s) + tonumber(time.ns) / 1e9
end

local thread

function setup(the_only_thread)
    thread = the_only_thread
end

function init(args)
    local file = assert(io.open(args[1], "rb"))
    wrk.method = "POST"
    wrk.body = file:read("*a")
    file:close()
    for index = 2, #args do
        local name, value = args[index]:match("^(.-): (.*)$")
        wrk.headers[name] = value
    end
    statuses = {}
    longest_gap_s, answered_s = 0, now_s()
    local request_text = wrk.format()
    request = function() return request_text end
end

function response(status)
    local answered = now_s()
    if answered - answered_s > longest_gap_s then longest_gap_s = answered - answered_s end
    answered_s = answered
    local name = tostring(status)
    statuses[name] = (statuses[name] or 0) + 1
end

function done(summary, latency)
    local counts = {}
    for status, count in pairs(thread:get("statuses")) do
        counts[#counts + 1] = string.format('"%s": %d', status, count)
    end
    local errors = summary.errors
    print(string.format(
        '{"seconds": %.6f, "statuses": {%s}, "connect_errors": %d, "read_errors": %d, "write_errors": %d, '
            .. '"timeouts": %d, "p50_ms": %.3f, "p90_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "longest_gap_ms": %.3f}',
        summary.duration / 1e6, table.concat(counts, ", "), errors.connect, errors.read, errors.write,
        errors.timeout, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
        latency.max / 1e3, thread:get("longest_gap_s") * 1e3))
end
