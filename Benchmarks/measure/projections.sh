# shellcheck shell=bash disable=SC2154  # scripts/bench sets orders, events, work, programs, magasin
# Read models: how fast they are built again from a log of orders, how soon they show what was
# acknowledged, how fast they answer. One log for all of it, made longer for the growth.

lag_rate=1000 lag_seconds=20
live_rate=500 live_seconds=90
hot_orders=200
projection_roles=commands,queries,projections

measure_projections() {
  local peak_most=0
  fill_log "$orders"
  if [[ -n ${parts[rebuild]:-} ]]; then measure_rebuilds; fi
  if [[ -n ${parts[get]:-}${parts[lag]:-}${parts[live]:-} ]]; then measure_serving; fi
  if [[ -n ${parts[growth]:-} ]]; then measure_rebuild_growth; fi
  if [[ -n ${parts[rebuild]:-} ]]; then note rebuild.rss "$peak_most" MB; fi
}

# Fills the log until it has so many orders, each with its five events.
fill_log() {
  run 'magasin bench fill' "$magasin" bench fill --mongodb "$uri" --orders "$1"
  say "a log of $(value_of fill.events) events, $(value_of fill.rate) of them a second"
  [[ $(value_of fill.events) -ge $((5 * $1)) ]] || fail "the log is too short."
}

# The two rebuilds, and what each is compared with, in turn.
measure_rebuilds() {
  for ((round = 1; round <= rounds; round++)); do
    say "rebuilds, round $round of $rounds"
    inspect_log
    note_line log.scan
    rebuild statistics
    note rebuild.statistics "$rate" events/s
    rebuild orders
    note rebuild.orders "$rate" events/s
    run upsert "$programs/upsert" "$uri" "orders__v$generation" "$seconds"
    note_line upsert.rate
    note_line upsert.bytes
    run 'magasin bench naive' "$magasin" bench naive --mongodb "$uri" --projection orders \
      --seconds "$seconds"
    note_line rebuild.orders.naive
  done
  round=1
}

# Rebuilds a read model from the whole log: sets `rate`, in events a second, and `generation`, and
# lifts `peak_most`, the most memory of a rebuilding process, in MB. Further words go to the command.
rebuild() {
  run_watching_memory "magasin projections rebuild $1" "$magasin" projections rebuild "$@" \
    --mongodb "$uri" --json
  [[ $peak -le $peak_most ]] || peak_most=$peak
  rate=$(rebuilt events_per_second)
  generation=$(rebuilt generation)
  [[ $(rebuilt events) -ge $((5 * orders)) ]] || fail "$1: the rebuild has not read the log."
  [[ $1 != orders || $(rebuilt rows) -ge $orders ]] || fail "$1: the rebuild has left rows out."
}

# Prints a number of the last rebuild's report.
rebuilt() {
  tail -n 1 "$work/output" | python3 -c 'import json, sys
print(round(json.load(sys.stdin)[sys.argv[1]]))' "$1" || fail "a rebuild reported no $1."
}

# The same with a log of `events` events.
measure_rebuild_growth() {
  [[ $events -gt $((5 * orders)) ]] || fail "--events has to be above 5 times --orders."
  fill_log $((events / 5))
  rebuild orders
  note rebuild.growth "$rate" events/s
}

# A server whose read models are all at the end of the log: the orders are asked for, then placed.
measure_serving() {
  local projection shop_port behind=(stock user_summaries sagas choreographies)
  [[ -n ${parts[rebuild]:-} ]] || behind+=(orders statistics)
  for projection in "${behind[@]}"; do rebuild "$projection"; done
  start_shop "$projection_roles"
  shop_port=$port
  if [[ -n ${parts[get]:-} ]]; then measure_get "$shop_port"; fi
  # A lag that is void is told at the end, behind the other figures.
  [[ -z ${parts[lag]:-} ]] || (measure_lag "$shop_port") || voided+=(lag)
  [[ -z ${parts[live]:-} ]] || (measure_live_rebuilds "$shop_port") || voided+=(live)
  end_processes
}

# GET an order at 64 connections, in turn with a server that answers as many bytes without thinking.
measure_get() {
  local shop_port=$1 constant_port path bytes
  curl --silent --fail "http://127.0.0.1:$shop_port/cqrs/queries/orders/recent?limit=$hot_orders" \
    | grep -oE '"order_id":"[^"]*"' | cut -d '"' -f 4 | sort -u \
    | sed 's,^,/cqrs/queries/orders/,' >"$work/orders"
  [[ $(wc -l <"$work/orders") -eq $hot_orders ]] || fail "there are no $hot_orders orders to ask for."
  path=$(head -n 1 "$work/orders")
  bytes=$(curl --silent --fail "http://127.0.0.1:$shop_port$path" | wc -c)
  start_constant "$bytes" "$path"
  constant_port=$port
  for ((round = 1; round <= rounds; round++)); do
    ask_for_orders get.constant "$constant_port"
    ask_for_orders get.order "$shop_port"
  done
  round=1
  note get.bytes "$bytes" bytes
}

# Starts `magasin bench constant`, with answers of so many bytes; sets `port`.
start_constant() {
  local bytes=$1 path=$2 waited constant
  port=$(free_port)
  "$magasin" bench constant --port "$port" --bytes "$bytes" >"$work/constant.log" 2>&1 </dev/null &
  constant=$!
  processes+=("$constant")
  for ((waited = 0; waited < 300; waited++)); do
    [[ $(curl --silent --fail "http://127.0.0.1:$port$path" | wc -c) -ne $bytes ]] || return 0
    kill -0 "$constant" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$work/constant.log" >&2
  fail "magasin bench constant did not answer $bytes bytes within 30 s."
}

ask_for_orders() {
  local wrk=(wrk --threads 2 --connections 64 --timeout 10s --script Benchmarks/http/order.lua)
  local address=http://127.0.0.1:$2
  run 'wrk, warming up,' "${wrk[@]}" --duration 1s "$address" -- "$work/orders"
  run wrk "${wrk[@]}" --duration "${seconds}s" "$address" -- "$work/orders"
  note_line rate "$1"
  note_line p50 "$1.p50"
  note_line p99 "$1.p99"
  [[ $(value_of refused) -eq 0 && $(value_of cut) -eq 0 && $(value_of answered) -gt 0 ]] \
    || fail "$1: of $(value_of answered) requests $(value_of refused) failed, $(value_of cut) cut."
}

measure_lag() {
  run 'lag, warming up,' "$programs/lag" "$1" "$lag_rate" 3
  run lag "$programs/lag" "$1" "$lag_rate" "$lag_seconds"
  note_line lag.rate
  note_line lag.p50
  note_line lag.p99
}

# Rebuilds while orders are placed and asked for with their positions: every query is answered, and
# old rows and new ones are the same at the switch, or there is no figure.
measure_live_rebuilds() {
  local projection load by_then='' peak_most=0
  # In a shell of its own: it ends what it has started, and nothing else.
  processes=()
  trap end_processes EXIT
  "$programs/lag" "$1" "$live_rate" "$live_seconds" >"$work/live" 2>"$work/live.errors" </dev/null &
  load=$!
  processes+=("$load")
  for projection in statistics orders; do
    rebuild "$projection" --expect-same
    [[ $(rebuilt compared) -eq 1 && $(rebuilt switched) -eq 1 && $(rebuilt difference_count) -eq 0 ]] \
      || fail "$projection: the new rows are not the old ones."
  done
  if kill -0 "$load" 2>/dev/null; then by_then=running; fi
  wait "$load" || { cat "$work/live.errors" >&2; fail "a query had no good answer."; }
  processes=()
  [[ -n $by_then ]] || fail "the orders ended before the rebuilds did."
  cp "$work/live" "$work/output"
  note_line lag.samples rebuild.live
  note_line lag.p50 rebuild.live.p50
  note_line lag.p99 rebuild.live.p99
  note rebuild.live.rss "$peak_most" MB
}

# A long aggregate out of its snapshot, where this binary measures it.
measure_replay() {
  if "$magasin" bench --help | grep -qE '^  replay '; then
    run 'magasin bench replay' "$magasin" bench replay --mongodb "$uri"
    note_line replay.snapshot
  else
    say 'this magasin has no bench replay: replay.snapshot is left out'
  fi
}
