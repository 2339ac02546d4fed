#!/usr/bin/env bash
# The ports of a job's Ray nodes: `ports.sh JOB_ID head|worker` prints them as options of `ray start`.
# Every service whose port `ray start` can set gets one of ten that belong to the job, below the range from which Linux
# takes ports for whoever asks for any (32768 and up). Two jobs meet only on one node and with ids that differ by a
# multiple of 2000; then the later one fails to start, and the token keeps it out of the other's cluster.
# Ray's own workers ask the kernel for any free port: no range that they could run out of, or that others could take.

first_port() { # JOB_ID: the head's port
  echo $((10000 + 10 * ($1 % 2000)))
}

port_options() { # JOB_ID head|worker
  local port services=(node-manager object-manager dashboard-agent-grpc dashboard-agent-listen runtime-env-agent
    metrics-export)
  port=$(first_port "$1")
  if [ "$2" = head ]; then
    # The dashboard is off, but Ray insists on a port for it. The client server is off too unless grpcio is installed,
    # which `make slurm` does not ask for: then Ray cannot be told to do without.
    echo "--port=$port"
    services+=(dashboard)
    ! python -c 'import grpc' 2>/dev/null || services+=(ray-client-server)
  fi
  for service in "${services[@]}"; do
    echo "--$service-port=$((port += 1))"
  done
  echo --min-worker-port=0
  echo --max-worker-port=0
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  port_options "$@"
fi
