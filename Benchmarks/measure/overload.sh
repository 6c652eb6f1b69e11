# shellcheck shell=bash disable=SC2154  # scripts/bench sets overload_seconds, work, programs
# More orders than the shop can take: three times its capacity, as an open loop.

measure_overload() {
  start_shop commands
  offer_orders 256 max 2
  offer_orders 256 max 10
  require_none capacity rejected refused wrong cut late
  local capacity answered
  capacity=$(value_of rate) answered=$(value_of accepted)
  note_line rate overload.capacity

  # The server takes 4,096 connections.
  offer_orders 4000 "$((3 * capacity))" "$overload_seconds"
  require_none overload rejected wrong cut late
  answered=$((answered + $(value_of accepted)))
  note_line rate overload.rate
  note_line accepted.p50 overload.p50
  note_line accepted.p99 overload.p99
  note_line sent overload.sent
  note overload.refused "$(reckon "$(value_of refused) / $overload_seconds")" requests/s
  [[ $(value_of refused) -eq 0 ]] || note_line refused.p99 overload.refused.p99
  note overload.rss "$(peak_memory "$pid")" MB

  offer_orders 64 max 1
  require_none recovery rejected wrong cut late
  answered=$((answered + $(value_of accepted)))
  note overload.recovered \
    "$(reckon "$(value_of accepted) / ($(value_of accepted) + $(value_of refused))")" share
  end_processes
  inspect_log
  [[ $(value_of log.commits) -ge $answered ]] \
    || fail "$answered orders were accepted, and the log has only $(value_of log.commits) commits."
}

# Places orders over CONNECTIONS at RATE a second for SECONDS.
offer_orders() {
  run offered "$programs/offered" "$port" /cqrs/commands/orders \
    '{"user_id":456,"product_id":101,"quantity":1}' "$1" "$2" "$3"
}
