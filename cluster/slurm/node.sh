#!/usr/bin/env bash
# One Ray node, as a step of the job: `node.sh head|worker ITS_ADDRESS HEAD_ADDRESS CPUS GPUS`. It prints the node's
# name when Ray runs there, and ends with the step.
set -euo pipefail
. cluster/slurm/ports.sh

role=$1 address=$2 head=$3 cpus=$4 gpus=$5
# Short: Ray's sockets are below it, and a socket's path has 107 characters. Mode 700: Ray opens its own to everybody.
scratch=$(mktemp -d "/tmp/zfscale-$SLURM_JOB_ID.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Slurm kills what has not ended some seconds after SIGTERM; by then the directory must be gone.
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0

mapfile -t options < <(port_options "$SLURM_JOB_ID" "$role")
options+=(--node-ip-address="$address" --num-cpus="$cpus" --num-gpus="$gpus" --include-log-monitor=false)
if [ "$role" = head ]; then
  # Without an option of its own: the dashboard's process serves metrics even where the dashboard is off.
  DASHBOARD_METRIC_PORT=$(($(first_port "$SLURM_JOB_ID") + 9))
  export DASHBOARD_METRIC_PORT
  options+=(--head --include-dashboard=false --dashboard-host=127.0.0.1 --no-monitor)
else
  options+=(--address="$head:$(first_port "$SLURM_JOB_ID")")
fi

started() {
  grep -q "Ray runtime started" "$scratch/log"
}

asked='' ray=''
trap 'asked=yes; [ -z "$ray" ] || kill "$ray" 2>/dev/null || true' TERM INT
trap 'scancel --batch --signal=USR1 "$SLURM_JOB_ID"' USR1
# Ray gives a node half a minute to start, which is not enough where the file system is cold: then again.
for try in 1 2 3; do
  # `scancel --signal=USR1` without --batch signals every process of the steps: Ray ignores it, the trap above tells the
  # batch script.
  (trap '' USR1 && exec ray start "${options[@]}" --temp-dir="$scratch/$try" --disable-usage-stats \
    --log-style=record --log-color=false --block) >"$scratch/log" 2>&1 &
  ray=$!
  until started; do
    kill -0 "$ray" 2>/dev/null || break
    sleep 0.2
  done
  ! started || echo "$SLURMD_NODENAME"
  while :; do # a signal ends the wait early
    wait "$ray" && status=0 || status=$?
    kill -0 "$ray" 2>/dev/null || break
  done
  [ -z "$asked" ] || exit 0
  echo "Ray on $SLURMD_NODENAME has ended (start $try):" >&2
  tail -n 20 "$scratch/log" >&2
  ! started || break
done
exit "$status"
