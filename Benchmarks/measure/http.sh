# shellcheck shell=bash disable=SC2154  # scripts/bench sets seconds, work, programs, magasin, uri
# Commands over HTTP. A rate with an error in it is none: every answer has to be 2xx.

all_roles=commands,queries,projections,sagas,reactors

measure_http64() {
  start_shop commands
  place_orders append.http64 64
  inspect_log append.http64
}

measure_http256() {
  start_shop commands
  place_orders append.http256 256
}

# With a payment provider and enough stock, so that the sagas have their work to do: one order goes
# all the way before, and what they have begun by the end is counted.
measure_http64_allroles() {
  start_magasin payments
  start_shop "$all_roles" --payments "http://127.0.0.1:$port"
  run restock python3 Benchmarks/http/stock.py "$port" 101 101 100000000
  run 'an order' curl --silent --show-error --fail --output /dev/null --write-out 'status %{http_code} http' \
    --header 'Prefer: wait=20' --data '{"user_id":456,"product_id":101,"quantity":1}' \
    "http://127.0.0.1:$port/cqrs/commands/orders"
  [[ $(value_of status) -eq 201 ]] || fail "an order was not confirmed: $(cat "$work/output")"
  place_orders append.http64.allroles 64
  local begun
  begun=$("$magasin" events tail --mongodb "$uri" --once --after 0 --type SagaStarted | wc -l)
  [[ $begun -gt 1 ]] || fail "no saga was begun while orders came in."
  note append.http64.allroles.sagas "$((begun - 1))" sagas
}

# Fresh demo data, and a server of these roles; sets `port` and `pid`.
start_shop() {
  local roles=$1
  shift
  run 'magasin demo' "$magasin" demo --mongodb "$uri"
  start_magasin serve --roles "$roles" "$@"
}

# Places orders with wrk over so many connections, and ends the servers.
place_orders() {
  local name=$1 connections=$2
  local wrk=(wrk --threads 2 --connections "$connections" --timeout 10s
    --script Benchmarks/http/orders.lua)
  local address=http://127.0.0.1:$port/cqrs/commands/orders
  run 'wrk, warming up,' "${wrk[@]}" --duration 2s "$address"
  run wrk "${wrk[@]}" --duration "${seconds}s" "$address"
  note_line rate "$name"
  note_line p50 "$name.p50"
  note_line p99 "$name.p99"
  local answered refused cut
  answered=$(value_of answered) refused=$(value_of refused) cut=$(value_of cut)
  end_processes
  if [[ $refused -ne 0 || $cut -ne 0 ]]; then
    tail -n 20 "$work/serve.log" >&2
    fail "$name: of $answered requests $refused were refused and $cut cut."
  fi
  inspect_log
  [[ $(value_of log.commits) -ge $answered ]] \
    || fail "$answered orders were accepted, and the log has only $(value_of log.commits) commits."
}

measure_spread() { reserve append.spread 1001 2000; }
measure_hot() { reserve append.hot 1001 1001; }

# Reserves a piece a request of the products FIRST to LAST in turn, of a catalogue of 1,000 with
# enough of each; then counts in the log what was reserved.
reserve() {
  local name=$1 first=$2 last=$3
  run 'magasin demo' "$magasin" demo --products 1000 --mongodb "$uri"
  start_magasin serve --roles commands
  run restock python3 Benchmarks/http/stock.py "$port" 1001 2000 100000000
  local body='{"product_id":{product},"quantity_change":1,"operation":"reserve",'
  body+='"order_id":"{order}"}'
  local answered
  reserve_for 1
  answered=$(value_of accepted)
  reserve_for "$seconds"
  note_line rate "$name"
  note_line accepted.p50 "$name.p50"
  note_line accepted.p99 "$name.p99"
  answered=$((answered + $(value_of accepted)))
  end_processes
  inspect_log
  run stock "$programs/stock" "$uri"
  [[ $(value_of stock.reserved) -eq $answered ]] \
    || fail "$answered reservations were accepted, the log has $(value_of stock.reserved)."
}

reserve_for() {
  run offered "$programs/offered" "$port" /cqrs/commands/inventory "$body" 256 max "$1" \
    "$first" "$last"
  require_none "$name" rejected refused wrong cut late
}

# Fails when the last run of `offered` counted any of these.
require_none() {
  local name=$1 kind
  shift
  for kind in "$@"; do
    [[ $(value_of "$kind") -eq 0 ]] && continue
    cat "$work/errors" "$work/output" >&2
    tail -n 20 "$work/serve.log" >&2
    fail "$name: $(value_of "$kind") of the requests were $kind."
  done
}
