# shellcheck shell=bash disable=SC2154  # scripts/bench sets saga_rate …, work, programs, magasin
# Order fulfilment from the order to its confirmation: how long it takes, how many a second, and
# what it costs when nothing can go on. Each part has servers and a log of its own.

saga_latency_orders=300                       # one at a time
saga_latency_rate=300 saga_latency_samples=100 # a second, as an open loop
saga_throughput_samples=5                     # a second: those who wait are work too
saga_idle_orders=10000 saga_idle_seconds=30
saga_rest_seconds_max=600                     # for the idle orders to come to rest

# A part without figures is told at the end, behind those of the others.
measure_sagas() {
  local part
  for part in "${saga_parts[@]}"; do
    [[ -n ${saga_wanted[$part]:-} ]] || continue
    say "sagas: $part"
    (measure_saga_part "$part") || voided+=("sagas.$part")
    drop_database
  done
}

# In a shell of its own: it ends what it has started, and nothing else.
measure_saga_part() {
  processes=()
  trap end_processes EXIT
  "measure_saga_$1"
}

measure_saga_latency() {
  local commits orders
  start_saga_shop
  run 'saga count' "$programs/saga" count "$uri"
  commits=$(value_of commits) orders=$(value_of orders)
  run 'saga one' "$programs/saga" one "$port" "$uri" "$saga_latency_orders"
  note_line wait.p50 saga.latency.p50
  note_line wait.p99 saga.latency.p99
  sleep 2 # what follows the confirmation
  run 'saga count' "$programs/saga" count "$uri"
  note saga.commits \
    "$(reckon "($(value_of commits) - $commits) / ($(value_of orders) - $orders)")" commits
  run 'saga declined' "$programs/saga" declined "$port" "$uri" "$saga_latency_orders"
  note_line wait.p50 saga.cancelled.p50
  note_line wait.p99 saga.cancelled.p99
  end_processes
  inspect_log
}

measure_saga_latency300() {
  start_saga_shop
  offer_sagas "$saga_latency_rate" 3 "$saga_latency_samples"
  offer_sagas "$saga_latency_rate" "$saga_latency_seconds" "$saga_latency_samples"
  require_none saga.latency300 unsent refused unknown late samples.unconfirmed unconfirmed
  [[ $(reckon "($(value_of placed) >= 0.97 * $saga_latency_rate)") -eq 1 ]] \
    || fail "saga.latency300: $(value_of placed) orders a second were placed, too few."
  note_line placed saga.latency300.rate
  note_line wait.p50 saga.latency300.p50
  note_line wait.p99 saga.latency300.p99
  end_processes
  inspect_log
}

measure_saga_throughput() {
  local kind lost=0
  start_saga_shop
  offer_sagas "$saga_rate" 3 "$saga_throughput_samples"
  offer_sagas "$saga_rate" "$saga_seconds" "$saga_throughput_samples" \
    "$pid" "$(cat "$work/mongodb/mongod.pid")" "$payments_pid"
  for kind in unsent refused unknown late; do
    [[ $(value_of "$kind") -eq 0 ]] || say "$(value_of "$kind") of the orders were $kind"
    lost=$((lost + $(value_of "$kind")))
  done
  say "open orders, second by second: $(sed -n 's/^backlogs //p' "$work/output")"
  say "from POST to confirmed, ms, the median of each quarter:" \
    "$(sed -n 's/^wait.quarter[1-4].p50 \([0-9.]*\) ms$/\1/p' "$work/output" | paste -sd ' ')"
  say "drained $(value_of drained) s after the last order, $(value_of cancelled) cancelled"
  note_line confirmed saga.throughput
  note_line offered saga.offered
  note_line placed saga.accepted
  note saga.refused "$lost" orders
  note_line backlog.quarter saga.backlog.quarter
  note_line backlog.half saga.backlog.half
  note_line backlog.three_quarters saga.backlog.three_quarters
  note_line backlog.end saga.backlog
  note_line unconfirmed saga.unconfirmed
  note_line wait.p50 saga.throughput.p50
  note_line wait.p99 saga.throughput.p99
  note_line cpu.1 saga.throughput.cpu
  note_line cpu.2 saga.throughput.cpu.mongod
  note_line cpu.3 saga.throughput.cpu.payments
  note_line cpu.4 saga.throughput.cpu.load
  end_processes
  inspect_log
}

# Orders whose payment cannot be taken, since nobody listens where the provider should be.
measure_saga_idle() {
  local commits
  start_shop "$all_roles" --payments "http://127.0.0.1:$(free_port)" --payment-deadline 3600
  restock_for_sagas
  run 'saga place' "$programs/saga" place "$port" "$saga_idle_orders"
  wait_for_rest
  commits=$(value_of commits)
  run 'saga watch' "$programs/saga" watch "$saga_idle_seconds" \
    "$pid" "$(cat "$work/mongodb/mongod.pid")"
  note_line cpu.1 saga.idle.cpu
  note_line cpu.2 saga.idle.mongod
  note saga.idle.rss "$(peak_memory "$pid")" MB
  run 'saga count' "$programs/saga" count "$uri"
  note saga.idle.commits "$(($(value_of commits) - commits))" commits
  note_line sagas.waiting saga.idle.sagas
  local waiting open
  waiting=$(value_of sagas.waiting) open=$(value_of orders.open)
  [[ $waiting -eq $saga_idle_orders && $open -eq $saga_idle_orders ]] \
    || fail "$waiting sagas wait and $open orders are open, not $saga_idle_orders."
}

# Waits until all sagas have begun and the log has not grown for ten seconds. One that never rests
# is measured all the same: what it does then is what waiting costs.
wait_for_rest() {
  local before='' still=0 deadline=$((SECONDS + saga_rest_seconds_max))
  while [[ $SECONDS -lt $deadline ]]; do
    run 'saga count' "$programs/saga" count "$uri"
    if [[ $(value_of sagas.waiting) -eq $saga_idle_orders && $(value_of commits) == "$before" ]]
    then
      still=$((still + 1))
    else
      still=0
    fi
    [[ $still -lt 5 ]] || return 0
    before=$(value_of commits)
    sleep 2
  done
  local waiting
  waiting=$(value_of sagas.waiting)
  [[ $waiting -eq $saga_idle_orders ]] \
    || fail "$waiting of $saga_idle_orders sagas wait after $saga_rest_seconds_max s."
  say "the log still grows after $saga_rest_seconds_max s: $(value_of commits) commits"
}

# A payment provider, a shop with every role on and enough stock; sets `port`, `pid` and
# `payments_pid`.
start_saga_shop() {
  start_magasin payments
  payments_pid=$pid
  start_shop "$all_roles" --payments "http://127.0.0.1:$port"
  restock_for_sagas
}

restock_for_sagas() {
  run restock python3 Benchmarks/http/stock.py "$port" 101 101 100000000
}

# Offers orders: RATE SECONDS SAMPLES [PID …]; waits until all are confirmed, a minute at most.
offer_sagas() {
  run 'saga offer' "$programs/saga" offer "$port" "$uri" "$@"
}
