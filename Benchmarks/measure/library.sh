# shellcheck shell=bash disable=SC2154  # scripts/bench sets seconds, work, programs, magasin, uri
# The log without HTTP: C programs, and `magasin bench append`.

measure_ceiling() {
  run append_ceiling "$programs/append_ceiling" "$uri" append.ceiling 1 1000 "$seconds"
  note_line append.ceiling
  inspect_log append.ceiling
}

measure_naive() {
  run append_ceiling "$programs/append_ceiling" "$uri" append.naive 50 1 "$seconds"
  note_line append.naive
}

measure_insert() {
  run append_ceiling "$programs/append_ceiling" "$uri" append.insert 1 1 "$seconds"
  note_line append.insert.p50 append.insert
  note_line append.insert.p99
}

measure_transaction() {
  run append_transaction "$programs/append_transaction" "$uri" append.transaction 500 "$seconds"
  note_line append.transaction
}

measure_library() {
  run 'magasin bench append' "$magasin" bench append --mongodb "$uri" --callers 1000 \
    --seconds "$seconds"
  note_line append.library
  note_line append.p50 append.library.p50
  note_line append.p99 append.library.p99
  inspect_log append.library
}

measure_single() {
  run 'magasin bench append' "$magasin" bench append --mongodb "$uri" --callers 1 \
    --seconds "$seconds"
  note_line append.p50 append.single
  note_line append.p99 append.single.p99
}

# Three processes on one log: the same callers, in three parts.
measure_writers3() {
  run 'magasin database init' "$magasin" database init --mongodb "$uri"
  local writer pids=() rates=() rate
  for writer in 1 2 3; do
    "$magasin" bench append --mongodb "$uri" --callers 1000 --seconds "$seconds" \
      >"$work/writer.$writer" 2>&1 </dev/null &
    pids+=($!)
    processes+=($!)
  done
  for writer in 1 2 3; do
    wait "${pids[writer - 1]}" || { tail "$work/writer.$writer" >&2; fail "a writer failed."; }
    rate=$(sed -n 's,^append.library \([0-9.]*\) events/s$,\1,p' "$work/writer.$writer")
    [[ -n $rate ]] || fail "writer $writer printed no rate."
    rates+=("$rate")
  done
  processes=()
  local total least
  total=$(reckon "${rates[0]} + ${rates[1]} + ${rates[2]}")
  least=$(printf '%s\n' "${rates[@]}" | sort -n | head -n 1)
  note append.writers3 "$total" events/s
  note append.writers3.least "$(reckon "$least / $total")" share
  inspect_log
  verify_log
}
