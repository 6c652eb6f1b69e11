-- For wrk: asks for the orders of a file in turn, one path a line (wrk … -- FILE), and says for
-- scripts/bench what came of it.
dofile("Benchmarks/http/figures.lua")

local requests, next_request = {}, 0

function init(arguments)
  wrk.headers["User-Agent"] = "wrk"
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end
