-- For wrk scripts: what came of the requests, as scripts/bench reads it.
function done(summary, latency, requests)
  local errors = summary.errors
  local cut = errors.connect + errors.read + errors.write + errors.timeout
  print(string.format("rate %.0f requests/s", summary.requests / (summary.duration / 1e6)))
  print(string.format("p50 %.2f ms", latency:percentile(50) / 1000))
  print(string.format("p99 %.2f ms", latency:percentile(99) / 1000))
  print(string.format("answered %d requests", summary.requests))
  print(string.format("refused %d requests", errors.status))
  print(string.format("cut %d requests", cut))
end
