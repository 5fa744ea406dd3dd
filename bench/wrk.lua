-- The one wrk script of all rows: sends the raw requests of a file, each thread from its own place in
-- it, and prints what was counted as one line of JSON.
--
--   wrk -t2 -c32 -d3s --latency -s wrk.lua http://127.0.0.1:PORT -- FILE
--
-- FILE: records of a decimal length, a newline, that many bytes (rig/work.py writes it). They are all
-- read before the first is sent, so that a request costs the driver one table look-up. wrk itself
-- counts answers that are not 2xx or 3xx; there is no response(), which would halve the driver's rate.

local threads = 0
local pool, at = {}, 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    local file = assert(io.open(args[1], "rb"))
    local text = file:read("*a")
    file:close()
    local place = 1
    while place <= #text do
        local first, last, len = text:find("^(%d+)\n", place)
        assert(first, "no record at offset " .. place - 1)
        place = last + 1 + tonumber(len)
        pool[#pool + 1] = text:sub(last + 1, place - 1)
    end
    at = math.floor(#pool / 7 * 3) * number % #pool
end

function request()
    at = at % #pool + 1
    return pool[at]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format('{"requests":%d,"seconds":%.6f,"bytes":%d,"not_2xx":%d,"broken":%d,'
        .. '"timeouts":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,"max_us":%d}\n',
        summary.requests, summary.duration / 1e6, summary.bytes, errors.status,
        errors.connect + errors.read + errors.write, errors.timeout, latency:percentile(50),
        latency:percentile(99), latency:percentile(99.9), latency.max))
end
