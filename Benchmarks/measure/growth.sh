# shellcheck shell=bash disable=SC2154,SC2034  # scripts/bench sets events, work, magasin, uri
# A log that has grown, beside one that has not: in turn, since a machine's speed drifts while the
# long one is filled.

growth_start=100000 # events of the short log, and of each measurement

measure_growth() {
  local short_uri=${uri/\/bench\?//short?}
  [[ $events -gt $growth_start ]] || fail "--events has to be above $growth_start."
  append_commits "$short_uri" "$growth_start"
  append_commits "$uri" "$events"
  note append.growth.rss "$peak" MB
  for round in 1 2 3; do
    append_commits "$short_uri" "$growth_start"
    note_line append.library append.growth.start
    append_commits "$uri" "$growth_start"
    note_line append.library append.growth
  done
  inspect_log
  note_line log.scan append.growth.scan
  run drop "$programs/database" "$short_uri" drop
}

# Appends so many commits in one process; sets `peak`, its memory in MB.
append_commits() {
  run_watching_memory 'magasin bench append' "$magasin" bench append --mongodb "$1" \
    --callers 1000 --commits "$2"
}
